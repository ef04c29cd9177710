package org.syncnas.sample

import android.content.Context
import org.syncnas.Assets
import org.syncnas.Network
import org.syncnas.Options
import org.syncnas.Processor
import org.syncnas.SyncNasException
import org.syncnas.Times

/** The network among the app's assets. Opening it takes time: not on the main thread. */
class Classifier(private val context: Context) : AutoCloseable {
    /** Why both branches run on the CPU, or null if one runs on the GPU. */
    var withoutGpu: String? = null
        private set
    private val network = open()

    /** Height, width and channels are elements 1 to 3. */
    val inputShape: IntArray = network.inputShape()

    private fun open(): Network {
        val options = Options().cacheFolder(context.codeCacheDir.path)
        return try {
            Assets.open(context.assets, "network", options.processors(Processor.cpu(), Processor.gpuFp16()))
        } catch (e: SyncNasException) {
            if (e.kind() != SyncNasException.Kind.UNIT) throw e
            withoutGpu = e.message
            Assets.open(context.assets, "network", options.processors(Processor.cpu(), Processor.cpu()))
        }
    }

    /** The class with the highest score, and how long it took. [pixels] are as the network was trained on them. */
    fun classify(pixels: FloatArray): Pair<Int, Times> {
        network.input().put(pixels)
        val times = network.run()
        val scores = network.output()
        var best = 0
        for (i in 1 until scores.remaining()) if (scores.get(i) > scores.get(best)) best = i
        return Pair(best, times)
    }

    override fun close() = network.close()
}
