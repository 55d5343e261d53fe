package org.bertmobile.demo

import java.util.Random
import org.bertmobile.core.IntTensor
import org.bertmobile.core.LatencySummary
import org.bertmobile.core.Manifest
import org.bertmobile.core.summarise

/** How often, and how long, a model is run at least; the runs before are to warm it up. */
data class Amount(val warmUpRuns: Int, val runs: Int, val seconds: Double)

/** As much as `bertmobile-bench` takes for enough. */
val ENOUGH = Amount(warmUpRuns = 3, runs = 50, seconds = 10.0)

/** Why latencies are not to be trusted. */
sealed interface Doubt {
    /** Only so many [runs]. */
    data class FewRuns(val runs: Int) : Doubt

    /** Only so many [seconds] of runs. */
    data class ShortTime(val seconds: Double) : Doubt

    /** One run in ten takes so many [times] the median. */
    data class WideSpread(val times: Double) : Doubt

    /** The second half of the runs took so much more (or less) than the first, as a [share]. */
    data class Drift(val share: Double) : Doubt

    /** Android's thermal [status], from 1, says that the clocks are lower than they could be. */
    data class Throttled(val status: Int) : Doubt

    /** The app can be debugged, so that its own code is slower than in a release. */
    data object Debuggable : Doubt
}

/** Latencies of runs with as many tokens as [length], in seconds. */
data class BenchmarkReport(val length: Int, val runs: Int, val latency: LatencySummary, val doubts: List<Doubt>)

/** What the phone tells about itself. */
interface Phone {
    /** Whether the app can be debugged. */
    val debuggable: Boolean

    /** Android's thermal status, from 0 (none) to 6; null before Android 10. */
    fun thermalStatus(): Int?
}

/** A steady machine keeps nine of ten runs within so much of the median, and its median over time. */
private const val WIDEST = 1.5
private const val LARGEST_DRIFT = 0.15

/** What the latencies and the phone say against a measurement. */
fun report(length: Int, seconds: DoubleArray, phone: Phone, thermalBefore: Int?): BenchmarkReport {
    val latency = summarise(seconds)
    val doubts = ArrayList<Doubt>()
    if (seconds.size < ENOUGH.runs) doubts.add(Doubt.FewRuns(seconds.size))
    if (seconds.sum() < ENOUGH.seconds) doubts.add(Doubt.ShortTime(seconds.sum()))
    if (latency.p90 > WIDEST * latency.p50) doubts.add(Doubt.WideSpread(latency.p90 / latency.p50))
    drift(seconds)?.let { if (it !in -LARGEST_DRIFT..LARGEST_DRIFT) doubts.add(Doubt.Drift(it)) }
    val status = maxOf(thermalBefore ?: 0, phone.thermalStatus() ?: 0)
    if (status > 0) doubts.add(Doubt.Throttled(status))
    if (phone.debuggable) doubts.add(Doubt.Debuggable)
    return BenchmarkReport(length, seconds.size, latency, doubts)
}

private fun drift(seconds: DoubleArray): Double? {
    if (seconds.size < 2) return null
    val middle = (seconds.size + 1) / 2
    val first = summarise(seconds.copyOfRange(0, middle)).p50
    return summarise(seconds.copyOfRange(middle, seconds.size)).p50 / first - 1
}

/**
 * Time a run again and again.
 *
 * @param progress is told the share that is done, from 0 to 1, and says whether to go on.
 * @return seconds of each run after the warm-up.
 */
fun measure(run: () -> Unit, amount: Amount, progress: (Double) -> Boolean): DoubleArray {
    repeat(amount.warmUpRuns) { run() }
    val seconds = ArrayList<Double>()
    var total = 0.0
    while (seconds.isEmpty() || seconds.size < amount.runs || total < amount.seconds) {
        val before = System.nanoTime()
        run()
        val took = (System.nanoTime() - before) / 1e9
        seconds.add(took)
        total += took
        if (!progress(minOf(1.0, seconds.size.toDouble() / amount.runs, total / amount.seconds))) break
    }
    return seconds.toDoubleArray()
}

/** Inputs of so many tokens, the same ones each time. */
fun fullInputs(manifest: Manifest, length: Int): Map<String, IntTensor> {
    val random = Random(length.toLong())
    return manifest.inputs.associate { spec ->
        val values = when (spec.name) {
            "input_ids" -> IntArray(length) { 1 + random.nextInt(manifest.tokenizer.vocabSize - 1) }
            "attention_mask", "pooling_mask" -> IntArray(length) { 1 }
            "mask_positions" -> IntArray(manifest.maskSlots ?: 1)
            else -> IntArray(length)
        }
        spec.name to IntTensor(intArrayOf(1, values.size), values)
    }
}
