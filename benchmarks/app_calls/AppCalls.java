import java.lang.reflect.Field;
import org.syncnas.Network;
import org.syncnas.Options;
import org.syncnas.Times;

/**
 * What a call takes beyond the makespan that it tells: AppCalls LITERT BUNDLE RUNS LIBRARY. Prints a line a round, in ns: by C,
 * by Network.run, by C again.
 */
public final class AppCalls {
  private static native long inC(long network);

  private static long inJava(Network network) {
    long start = System.nanoTime();
    Times times = network.run();
    return System.nanoTime() - start - times.totalNs();
  }

  public static void main(String[] words) throws ReflectiveOperationException {
    int runs = Integer.parseInt(words[2]);
    long[][] beyond = new long[2 * runs][3];
    Field handle = Network.class.getDeclaredField("handle");
    handle.setAccessible(true);
    try (Network network = Network.open(words[1], new Options().runtime(words[0], null).spinMicros(2000))) {
      System.load(words[3]);
      long number = handle.getLong(network);
      for (long[] round : beyond) {
        round[0] = inC(number);
        round[1] = inJava(network);
        round[2] = inC(number);
      }
    }
    // The first half is Java's own warm-up.
    for (int i = runs; i < beyond.length; i++) System.out.println(beyond[i][0] + " " + beyond[i][1] + " " + beyond[i][2]);
  }
}
