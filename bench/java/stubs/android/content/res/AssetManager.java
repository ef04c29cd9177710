package android.content.res;

import java.io.IOException;

/** What Assets calls of Android's class, to compile it without Android's SDK. */
public final class AssetManager {
  public native String[] list(String path) throws IOException;

  public native AssetFileDescriptor openFd(String path) throws IOException;
}
