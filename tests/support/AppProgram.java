import android.content.res.AssetManager;
import java.io.File;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.syncnas.Assets;
import org.syncnas.Network;
import org.syncnas.Options;
import org.syncnas.Processor;
import org.syncnas.SyncNasException;
import org.syncnas.Times;

/** An app in Java, for tests: AppProgram LITERT BUNDLE IMAGE LOGITS. Prints one line for each thing that it looked at. */
public final class AppProgram {
  private static float[] floats(String path) throws Exception {
    FloatBuffer all = ByteBuffer.wrap(Files.readAllBytes(Paths.get(path))).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
    float[] values = new float[all.remaining()];
    all.get(values);
    return values;
  }

  private static boolean computes(Network network, float[] image, float[] logits) {
    network.input().put(image);
    Times times = network.run();
    FloatBuffer output = network.output();
    boolean same = output.remaining() == logits.length && times.totalNs() >= times.branchNs(0) && times.waitNs(1) >= 0;
    for (float logit : logits) same &= output.get() == logit;
    return same;
  }

  private static Map<String, ByteBuffer> mapped(String folder) throws Exception {
    Map<String, ByteBuffer> files = new LinkedHashMap<>();
    for (String name : new String[] {"network.txt", "branch0.tflite", "branch1.tflite"}) {
      try (FileChannel channel = new RandomAccessFile(folder + "/" + name, "r").getChannel()) {
        files.put(name, channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size()));
      }
    }
    return files;
  }

  private interface Action {
    void run() throws Exception;
  }

  private static String failure(Action action) throws Exception {
    try {
      action.run();
      return "nothing";
    } catch (SyncNasException e) {
      return e.kind() + " " + e.getMessage();
    } catch (RuntimeException | IOException e) {
      return e.getClass().getSimpleName() + " " + e.getMessage();
    }
  }

  public static void main(String[] words) throws Exception {
    String folder = words[1];
    float[] image = floats(words[2]);
    float[] logits = floats(words[3]);
    Options options = new Options().runtime(words[0], null).processors(Processor.cpu(), Processor.cpu(1));

    Network network = Network.open(folder, options);
    System.out.println("folder " + computes(network, image, logits));
    System.out.println("shape " + network.inputShape().length + " " + network.outputShape()[1]);
    System.out.println("read-only " + network.output().isReadOnly());

    Network other = Network.open(mapped(folder), options);
    System.gc();
    System.out.println("mapped " + computes(other, image, logits));

    List<Thread> threads = new ArrayList<>();
    List<String> told = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      Thread thread =
          new Thread(
              () -> {
                try {
                  while (true) other.run();
                } catch (IllegalStateException e) {
                  synchronized (told) {
                    told.add(e.getMessage());
                  }
                }
              });
      threads.add(thread);
      thread.start();
    }
    for (int i = 0; i < 20; i++) other.run();
    other.close();
    for (Thread thread : threads) thread.join();
    System.out.println("threads " + told.size());

    FloatBuffer kept = network.input();
    FloatBuffer read = network.output();
    network.close();
    network.close();
    network = null;
    System.gc();
    kept.put(0, 1f);
    System.out.println("stale " + (kept.get(0) == 1f && read.get(0) == logits[0]));
    System.out.println("closed " + failure(other::run));
    System.out.println("closed " + failure(other::input));
    System.out.println("closed " + failure(other::output));
    System.out.println("bundle " + failure(() -> Network.open(folder + "/absent 🙂", options)));
    System.out.println("runtime " + failure(() -> Network.open(folder, new Options().runtime("/absent.so", null))));
    System.out.println(
        "unit " + failure(() -> Network.open(folder, new Options().runtime(words[0], null).processors(Processor.cpu(1, 63), Processor.cpu()))));
    System.out.println("argument " + failure(() -> Network.open(folder, new Options().spinMicros(-7))));
    System.out.println("indirect " + failure(() -> Network.open(Map.of("network.txt", ByteBuffer.allocate(8)), options)));
    System.out.println("none " + failure(() -> Network.open(Map.of(), options)));

    File bundle = new File(folder);
    try (Network asset = Assets.open(new AssetManager(bundle.getParent(), ".none"), bundle.getName(), options)) {
      System.out.println("assets " + computes(asset, image, logits));
    }
    AssetManager compressed = new AssetManager(bundle.getParent(), "1.tflite");
    System.out.println("compressed " + failure(() -> Assets.open(compressed, bundle.getName(), options)));
    System.out.println("absent " + failure(() -> Assets.open(compressed, "absent", options)));
    String file = words[3] + ".json";
    try (Network measured = Network.open(folder, options)) {
      measured.measure(3, file);
      System.out.println("measure " + Files.readAllLines(Paths.get(file)).size());
      System.out.println("measure " + failure(() -> measured.measure(0, file)));
    }

    try (Network timed = Network.open(folder, options)) {
      long least = Long.MAX_VALUE;
      for (int i = 0; i < 200; i++) {
        long start = System.nanoTime();
        Times times = timed.run();
        least = Math.min(least, System.nanoTime() - start - times.totalNs());
      }
      System.out.println("overhead_ns " + least);
    }
  }
}
