package org.syncnas;

/** What went wrong, in one sentence, and of which kind it is. */
public final class SyncNasException extends RuntimeException {
  private static final long serialVersionUID = 1;

  /** The kinds of failure. What to do about them is up to the app. */
  public enum Kind {
    /** An option or a buffer is not as this library wants it. */
    ARGUMENT,
    /** A file of the bundle is missing, damaged, of another export, or newer than this library. */
    BUNDLE,
    /** LiteRT cannot be loaded, or is another version. */
    RUNTIME,
    /** LiteRT does not take a model. */
    MODEL,
    /** A processor cannot run the network here, such as a GPU that is not there. Another one may. */
    UNIT,
    /** Memory, threads or a run. A network whose run failed is to be closed. */
    RUN
  }

  private final Kind kind;

  SyncNasException(Kind kind, String sentence) {
    super(sentence);
    this.kind = kind;
  }

  /** Of which kind the failure is. */
  public Kind kind() {
    return kind;
  }
}
