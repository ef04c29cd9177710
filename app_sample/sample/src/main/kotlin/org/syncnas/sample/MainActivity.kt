package org.syncnas.sample

import android.app.Activity
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.os.Bundle
import android.widget.TextView
import java.io.IOException
import java.util.concurrent.Executors

/** Classifies the picture among the assets and shows what it is and how long it took. */
class MainActivity : Activity() {
    private val worker = Executors.newSingleThreadExecutor()

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        val text = TextView(this)
        text.text = "opening ..."
        setContentView(text)
        worker.execute {
            val shown = try { measured() } catch (e: Exception) { e.toString() }
            runOnUiThread { text.text = shown }
        }
    }

    override fun onDestroy() {
        worker.shutdown()
        super.onDestroy()
    }

    private fun measured(): String {
        val classifier = Classifier(this)
        try {
            val pixels = pixels(classifier.inputShape)
            repeat(20) { classifier.classify(pixels) }
            val runs = List(50) { classifier.classify(pixels) }
            val (number, times) = runs.sortedBy { it.second.totalNs() }[runs.size / 2]
            return "class $number ${label(number)}\n" +
                "${times.totalNs() / 1000} us\n" +
                "branch 0: ${times.branchNs(0) / 1000} us, waited ${times.waitNs(0) / 1000} us\n" +
                "branch 1: ${times.branchNs(1) / 1000} us, waited ${times.waitNs(1) / 1000} us\n" +
                (classifier.withoutGpu?.let { "both branches on the CPU: $it" } ?: "branch 1 on the GPU")
        } finally {
            classifier.close()
        }
    }

    /** The picture as the network was trained on pictures, by row, column and colour. */
    private fun pixels(shape: IntArray): FloatArray {
        val picture = assets.open("picture.png").use { BitmapFactory.decodeStream(it) }
        val scaled = Bitmap.createScaledBitmap(picture, shape[2], shape[1], true)
        val colours = IntArray(shape[1] * shape[2])
        scaled.getPixels(colours, 0, shape[2], 0, 0, shape[2], shape[1])
        val values = FloatArray(3 * colours.size)
        for ((i, colour) in colours.withIndex()) {
            for (c in 0..2) {
                val value = (colour shr (16 - 8 * c) and 255) / 255f
                values[3 * i + c] = (value - MEAN[c]) / DEVIATION[c]
            }
        }
        return values
    }

    private companion object {
        val MEAN = floatArrayOf({{mean}})
        val DEVIATION = floatArrayOf({{deviation}})
    }

    private fun label(number: Int): String = try {
        assets.open("labels.txt").use { it.bufferedReader().readLines()[number] }
    } catch (e: IOException) {
        ""
    }
}
