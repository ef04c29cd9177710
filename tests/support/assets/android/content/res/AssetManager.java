package android.content.res;

import java.io.File;
import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;

/** Assets out of a folder, for tests: as in an APK, a file that is compressed there has no descriptor. */
public final class AssetManager {
  private final File folder;
  private final String compressed;

  public AssetManager(String folder, String compressed) {
    this.folder = new File(folder);
    this.compressed = compressed;
  }

  public String[] list(String path) {
    return new File(folder, path).list();
  }

  public InputStream open(String path) throws IOException {
    return new FileInputStream(new File(folder, path));
  }

  public AssetFileDescriptor openFd(String path) throws IOException {
    if (path.endsWith(compressed)) throw new FileNotFoundException("this file cannot be opened as a file descriptor");
    return new AssetFileDescriptor(new File(folder, path));
  }
}
