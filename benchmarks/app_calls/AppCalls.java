import org.syncnas.Network;
import org.syncnas.Options;
import org.syncnas.Times;

/** What a call of Network.run takes beyond the makespan that it tells: AppCalls LITERT BUNDLE RUNS. Prints all, in ns. */
public final class AppCalls {
  public static void main(String[] words) {
    int runs = Integer.parseInt(words[2]);
    long[] beyond = new long[2 * runs];
    try (Network network = Network.open(words[1], new Options().runtime(words[0], null).spinMicros(2000))) {
      for (int i = 0; i < beyond.length; i++) {
        long start = System.nanoTime();
        Times times = network.run();
        beyond[i] = System.nanoTime() - start - times.totalNs();
      }
    }
    // The first half is Java's own warm-up.
    for (int i = runs; i < beyond.length; i++) System.out.println(beyond[i]);
  }
}
