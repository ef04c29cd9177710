package org.syncnas;

import android.content.res.AssetFileDescriptor;
import android.content.res.AssetManager;
import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.util.LinkedHashMap;
import java.util.Map;

/** Bundles among an app's assets, mapped where they lie in the APK: nothing is copied or unpacked. */
public final class Assets {
  private Assets() {}

  /**
   * Opens the bundle in a folder of the assets.
   *
   * @throws IOException a file is missing, or was compressed when the app was packed
   */
  public static Network open(AssetManager assets, String folder, Options options) throws IOException {
    Map<String, ByteBuffer> files = new LinkedHashMap<String, ByteBuffer>();
    String[] names = assets.list(folder);
    for (String name : names == null ? new String[0] : names) {
      if (name.equals("network.txt") || name.endsWith(".tflite")) files.put(name, map(assets, folder + "/" + name));
    }
    return Network.open(files, options);
  }

  private static ByteBuffer map(AssetManager assets, String path) throws IOException {
    try (AssetFileDescriptor file = assets.openFd(path);
        FileInputStream stream = new FileInputStream(file.getFileDescriptor())) {
      FileChannel channel = stream.getChannel();
      return channel.map(FileChannel.MapMode.READ_ONLY, file.getStartOffset(), file.getLength());
    } catch (FileNotFoundException e) {
      throw new IOException(
          path + " is compressed in the APK; let noCompress of its build have \"tflite\" and \"txt\"", e);
    }
  }
}
