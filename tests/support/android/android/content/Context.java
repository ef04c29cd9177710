package android.content;

import android.content.res.AssetManager;
import java.io.File;

/** What the sample calls of Android, to check its types. */
public class Context {
  public native AssetManager getAssets();

  public native File getCodeCacheDir();
}
