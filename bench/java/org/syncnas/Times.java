package org.syncnas;

import java.nio.LongBuffer;

/** How long a run took, in nanoseconds. */
public final class Times {
  private final long total;
  private final long branch0;
  private final long branch1;
  private final long wait0;
  private final long wait1;

  /** The native struct: its size, then the values. */
  Times(LongBuffer struct) {
    total = struct.get(1);
    branch0 = struct.get(2);
    branch1 = struct.get(3);
    wait0 = struct.get(4);
    wait1 = struct.get(5);
  }

  /** From the beginning until the output was there. */
  public long totalNs() {
    return total;
  }

  /** What branch 0 or 1 computed. */
  public long branchNs(int branch) {
    return checked(branch) == 0 ? branch0 : branch1;
  }

  /** What branch 0 or 1 waited for the other one. */
  public long waitNs(int branch) {
    return checked(branch) == 0 ? wait0 : wait1;
  }

  private static int checked(int branch) {
    if (branch != 0 && branch != 1) throw new IndexOutOfBoundsException("a branch is 0 or 1, not " + branch);
    return branch;
  }
}
