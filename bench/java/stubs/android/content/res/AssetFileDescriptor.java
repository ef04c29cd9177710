package android.content.res;

import java.io.Closeable;
import java.io.FileDescriptor;

/** What Assets calls of Android's class, to compile it without Android's SDK. */
public class AssetFileDescriptor implements Closeable {
  public native FileDescriptor getFileDescriptor();

  public native long getStartOffset();

  public native long getLength();

  @Override
  public native void close();
}
