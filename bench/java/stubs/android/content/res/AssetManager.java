package android.content.res;

import java.io.IOException;
import java.io.InputStream;

/** What Assets calls of Android's class, to compile it without Android's SDK. */
public final class AssetManager {
  public native String[] list(String path) throws IOException;

  public native InputStream open(String path) throws IOException;

  public native AssetFileDescriptor openFd(String path) throws IOException;
}
