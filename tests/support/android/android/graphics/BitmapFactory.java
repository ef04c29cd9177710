package android.graphics;

import java.io.InputStream;

/** What the sample calls of Android, to check its types. */
public class BitmapFactory {
  public static native Bitmap decodeStream(InputStream stream);
}
