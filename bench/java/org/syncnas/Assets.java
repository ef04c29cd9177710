package org.syncnas;

import android.content.res.AssetFileDescriptor;
import android.content.res.AssetManager;
import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.util.LinkedHashMap;
import java.util.Map;

/** Bundles among an app's assets, their models mapped where they lie in the APK: nothing is copied or unpacked. */
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
      if (name.equals("network.txt")) files.put(name, read(assets, folder + "/" + name));
      if (name.endsWith(".tflite")) files.put(name, map(assets, folder + "/" + name));
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
          path + " is compressed in the APK; let noCompress of its build have \"tflite\"", e);
    }
  }

  private static ByteBuffer read(AssetManager assets, String path) throws IOException {
    try (InputStream stream = assets.open(path)) {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      byte[] part = new byte[4096];
      for (int count; (count = stream.read(part)) > 0; ) bytes.write(part, 0, count);
      ByteBuffer whole = ByteBuffer.allocateDirect(bytes.size());
      whole.put(bytes.toByteArray());
      whole.rewind();
      return whole;
    }
  }
}
