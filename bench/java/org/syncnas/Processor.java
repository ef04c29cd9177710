package org.syncnas;

/** Where a branch of a network runs: on the CPU, or on the GPU. */
public final class Processor {
  final int kind;
  final int threads;
  final int precision;
  final long cores;

  private Processor(int kind, int threads, int precision, long cores) {
    this.kind = kind;
    this.threads = threads;
    this.precision = precision;
    this.cores = cores;
  }

  /** One thread on any core. */
  public static Processor cpu() {
    return cpu(1);
  }

  /**
   * Threads on the CPU.
   *
   * @param threads 1 to 64
   * @param cores the numbers of those that may be used, 0 to 63; none for all of them
   */
  public static Processor cpu(int threads, int... cores) {
    if (threads < 1) throw new IllegalArgumentException("a CPU has at least one thread, not " + threads);
    long mask = 0;
    for (int core : cores) {
      if (core < 0 || core > 63) throw new IllegalArgumentException("a core is from 0 to 63, not " + core);
      mask |= 1L << core;
    }
    return new Processor(0, threads, 0, mask);
  }

  /** The GPU, computing in float32. */
  public static Processor gpu() {
    return new Processor(1, 0, 0, 0);
  }

  /** The GPU, computing in float16: faster on phones, and less exact. */
  public static Processor gpuFp16() {
    return new Processor(1, 0, 1, 0);
  }
}
