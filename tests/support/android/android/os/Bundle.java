package android.os;

/** What the sample calls of Android, to check its types. */
public final class Bundle {}
