package android.graphics;

/** What the sample calls of Android, to check its types. */
public final class Bitmap {
  public static native Bitmap createScaledBitmap(Bitmap from, int width, int height, boolean filter);

  public native void getPixels(int[] into, int offset, int stride, int x, int y, int width, int height);
}
