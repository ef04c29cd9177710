import org.syncnas.Network;
import org.syncnas.Options;
import org.syncnas.SyncNasException;

/** An app in Java, for tests, some of whose runs fail: FailingRuns LITERT BUNDLE. The LiteRT takes no NaN. */
public final class FailingRuns {
  private static String run(Network network, float value) {
    network.input().put(0, value);
    try {
      network.run();
      return "" + network.output().get(0);
    } catch (SyncNasException e) {
      return e.kind() + " " + e.getMessage();
    }
  }

  public static void main(String[] words) {
    Options options = new Options().runtime(words[0], null);
    try (Network other = Network.open(words[1], options)) {
      for (int good = 0; good < 3; good++) {
        try (Network network = Network.open(words[1], options)) {
          for (int i = 0; i < good; i++) System.out.println(run(network, i));
          System.out.println(run(network, Float.NaN));
          System.out.println("for good: " + run(network, 1));
          System.out.println("other: " + run(other, good));
        }
      }
    }
  }
}
