package org.syncnas;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A network of two branches, open on its processors. Any thread may call any method; runs take turns. Opening compiles the
 * network and takes from 0.1 seconds to several ones: not for the main thread.
 */
public final class Network implements AutoCloseable {
  private static final int ALIGNMENT_BYTES = 64;
  private static final int PADDING_BYTES = 128;
  private static final int SENTENCE_BYTES = 768;
  private static final int TIMES_BYTES = 64;
  private static final int CLOSED = 7;

  static {
    System.loadLibrary("syncnas");
  }

  private final int[] inputShape;
  private final int[] outputShape;
  private final ByteBuffer input;
  private final ByteBuffer output;
  private final ByteBuffer[] files; // the native side uses the weights in place
  private final LongBuffer times; // of the latest run
  private final long timesAddress;
  private volatile long handle;

  /** Opens the bundle in a folder. Throws SyncNasException. */
  public static Network open(String folder, Options options) {
    return new Network(utf8(folder), new LinkedHashMap<String, ByteBuffer>(), options);
  }

  /**
   * Opens a bundle of direct buffers, such as mapped assets, by file name: network.txt, branch0.tflite and branch1.tflite. They
   * are used in place and must stay as they are. Throws SyncNasException.
   */
  public static Network open(Map<String, ByteBuffer> files, Options options) {
    return new Network(null, files, options);
  }

  private Network(byte[] folder, Map<String, ByteBuffer> files, Options o) {
    byte[][] names = new byte[files.size()][];
    this.files = new ByteBuffer[files.size()];
    int count = 0;
    for (Map.Entry<String, ByteBuffer> file : files.entrySet()) {
      if (!file.getValue().isDirect()) throw new IllegalArgumentException(file.getKey() + " is not in a direct buffer");
      names[count] = utf8(file.getKey());
      this.files[count++] = file.getValue().slice();
    }
    byte[] sentence = new byte[SENTENCE_BYTES];
    int[] shapes = new int[2 * 9];
    check(nativeShapes(folder, names, this.files, shapes, sentence), sentence);
    inputShape = Arrays.copyOfRange(shapes, 1, 1 + shapes[0]);
    outputShape = Arrays.copyOfRange(shapes, 10, 10 + shapes[9]);
    input = allocate(4 * countOf(inputShape) + PADDING_BYTES);
    output = allocate(4 * countOf(outputShape) + PADDING_BYTES);
    ByteBuffer memory = allocate(TIMES_BYTES);
    times = memory.order(ByteOrder.nativeOrder()).asLongBuffer();
    timesAddress = nativeAddress(memory);
    int[] units = {
      o.branch0.kind, o.branch0.threads, o.branch0.precision, o.branch1.kind, o.branch1.threads, o.branch1.precision
    };
    long[] cores = {o.branch0.cores, o.branch1.cores};
    long[] opened = new long[1];
    check(
        nativeOpen(folder, names, this.files, units, cores, o.spinMicros, utf8(o.runtime), utf8(o.accelerators),
            utf8(o.cacheFolder), input, output, opened, sentence),
        sentence);
    handle = opened[0];
  }

  /** The sizes of the input, such as 1, height, width, channels. */
  public int[] inputShape() {
    return inputShape.clone();
  }

  /** The sizes of the output, such as 1, classes. */
  public int[] outputShape() {
    return outputShape.clone();
  }

  /** The network's own input, from its first value on: write it, then run. What is written stays. */
  public FloatBuffer input() {
    alive();
    return floats(input, inputShape);
  }

  /** The network's own output, from its first value on, as the latest run left it. It cannot be written. */
  public FloatBuffer output() {
    alive();
    return floats(output, outputShape).asReadOnlyBuffer();
  }

  /** Computes the output of the input. Throws SyncNasException. */
  public Times run() {
    synchronized (times) { // until they are read
      if (nativeRun(handle, timesAddress, null) != 0) why();
      return new Times(times);
    }
  }

  /** Throws what a run said that failed: it fails again, and at once. */
  private void why() {
    byte[] sentence = new byte[SENTENCE_BYTES];
    check(nativeRun(handle, timesAddress, sentence), sentence);
  }

  /**
   * Runs on the input that is there, after a few unrecorded runs, and writes all times into a file that
   * {@code syncnas-deploy bench --from FILE} reads. Throws SyncNasException.
   */
  public void measure(int runs, String path) {
    byte[] sentence = new byte[SENTENCE_BYTES];
    check(nativeMeasure(alive(), runs, utf8(path), sentence), sentence);
  }

  /** Waits for runs under way and frees the network. Buffers that are still held are merely not used any more. */
  @Override
  public void close() {
    nativeClose(handle);
    handle = 0;
  }

  private long alive() {
    long now = handle;
    if (now == 0) throw new IllegalStateException("the network is closed");
    return now;
  }

  private static void check(int status, byte[] sentence) {
    if (status == 0) return;
    if (status == CLOSED) throw new IllegalStateException("the network is closed");
    int length = 0;
    while (length < sentence.length && sentence[length] != 0) length++;
    String text = new String(sentence, 0, length, StandardCharsets.UTF_8);
    throw new SyncNasException(SyncNasException.Kind.values()[status - 1], text);
  }

  private static int countOf(int[] shape) {
    int count = 1;
    for (int size : shape) count *= size;
    return count;
  }

  /** Memory of Java's, so that a view of it that outlives the network is no harm. */
  private static ByteBuffer allocate(int bytes) {
    ByteBuffer memory = ByteBuffer.allocateDirect(bytes + ALIGNMENT_BYTES);
    int offset = (int) (-nativeAddress(memory) & (ALIGNMENT_BYTES - 1));
    memory.position(offset);
    memory.limit(offset + bytes);
    return memory.slice();
  }

  private static FloatBuffer floats(ByteBuffer memory, int[] shape) {
    ByteBuffer view = memory.duplicate();
    view.limit(4 * countOf(shape));
    return view.order(ByteOrder.nativeOrder()).asFloatBuffer();
  }

  // Texts go over as bytes: Java's native strings have an encoding of their own.
  private static byte[] utf8(String text) {
    return text == null ? null : (text + "\0").getBytes(StandardCharsets.UTF_8);
  }

  private static native int nativeShapes(
      byte[] folder, byte[][] names, ByteBuffer[] files, int[] shapes, byte[] sentence);

  private static native int nativeOpen(
      byte[] folder, byte[][] names, ByteBuffer[] files, int[] units, long[] cores, int spinMicros, byte[] runtime,
      byte[] accelerators, byte[] cacheFolder, ByteBuffer input, ByteBuffer output, long[] opened, byte[] sentence);

  // Not static: this object and its buffers stay as long as it runs.
  private native int nativeRun(long handle, long timesAddress, byte[] sentence);

  private native int nativeMeasure(long handle, int runs, byte[] path, byte[] sentence);

  private static native void nativeClose(long handle);

  private static native long nativeAddress(ByteBuffer memory);
}
