package android.view;

/** What the sample calls of Android, to check its types. */
public class View {}
