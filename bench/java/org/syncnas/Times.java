package org.syncnas;

/** How long a run took, in nanoseconds. */
public final class Times {
  private final long[] values;

  Times(long[] values) {
    this.values = values;
  }

  /** From the beginning until the output was there. */
  public long totalNs() {
    return values[0];
  }

  /** What branch 0 or 1 computed. */
  public long branchNs(int branch) {
    return values[1 + checked(branch)];
  }

  /** What branch 0 or 1 waited for the other one. */
  public long waitNs(int branch) {
    return values[3 + checked(branch)];
  }

  private static int checked(int branch) {
    if (branch != 0 && branch != 1) throw new IndexOutOfBoundsException("a branch is 0 or 1, not " + branch);
    return branch;
  }
}
