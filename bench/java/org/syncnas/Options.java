package org.syncnas;

/** How a network is opened. Each setting has a default. */
public final class Options {
  Processor branch0 = Processor.cpu();
  Processor branch1 = Processor.cpu();
  int spinMicros;
  String runtime;
  String accelerators;
  String cacheFolder;

  /** Where branch 0 and branch 1 run. Both on the CPU by default. */
  public Options processors(Processor branch0, Processor branch1) {
    if (branch0 == null || branch1 == null) throw new NullPointerException("each branch has a processor");
    this.branch0 = branch0;
    this.branch1 = branch1;
    return this;
  }

  /**
   * How long a branch polls for the other one before it sleeps, in microseconds; -1 for not at all. By default 200, or not at
   * all where fewer than three cores are allowed.
   */
  public Options spinMicros(int micros) {
    spinMicros = micros;
    return this;
  }

  /** A folder, such as the app's code cache, where the GPU keeps the kernels it compiled. By default it keeps none. */
  public Options cacheFolder(String folder) {
    cacheFolder = folder;
    return this;
  }

  /** The path of libLiteRt.so and the folder of its GPU library. By default both are found by name, among an app's libraries. */
  public Options runtime(String library, String accelerators) {
    runtime = library;
    this.accelerators = accelerators;
    return this;
  }
}
