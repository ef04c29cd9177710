package android.app;

import android.content.Context;
import android.os.Bundle;
import android.view.View;

/** What the sample calls of Android, to check its types. */
public class Activity extends Context {
  protected native void onCreate(Bundle state);

  protected native void onDestroy();

  public native void setContentView(View view);

  public native void runOnUiThread(Runnable action);
}
