import java.lang.reflect.Field;
import org.syncnas.Network;
import org.syncnas.Options;

/**
 * What calls take beyond the makespans that they tell: AppCalls LITERT BUNDLE CALLS ROUNDS LIBRARY. Prints a line a round, in ns
 * a call: by C, by Network.run, by C again.
 */
public final class AppCalls {
  private static final int WARM_UP = 600; // calls, until Java has compiled its own code

  private static native long inC(long network, int calls);

  private static long inJava(Network network, int calls) {
    long told = 0;
    long start = System.nanoTime();
    for (int i = 0; i < calls; i++) told += network.run().totalNs();
    return System.nanoTime() - start - told;
  }

  public static void main(String[] words) throws ReflectiveOperationException {
    int calls = Integer.parseInt(words[2]);
    int rounds = Integer.parseInt(words[3]);
    long[][] beyond = new long[rounds][3];
    Field handle = Network.class.getDeclaredField("handle");
    handle.setAccessible(true);
    try (Network network = Network.open(words[1], new Options().runtime(words[0], null).spinMicros(2000))) {
      System.load(words[4]);
      long number = handle.getLong(network);
      for (int i = 0; i < WARM_UP; i++) inJava(network, 1);
      for (long[] round : beyond) {
        round[0] = inC(number, calls) / calls;
        round[1] = inJava(network, calls) / calls;
        round[2] = inC(number, calls) / calls;
      }
    }
    for (long[] round : beyond) System.out.println(round[0] + " " + round[1] + " " + round[2]);
  }
}
