package org.bertmobile.core

import kotlin.math.ceil
import kotlin.math.floor

/** Percentiles in seconds; [p99] is null where there are too few runs for it. */
data class LatencySummary(val p50: Double, val p90: Double, val p99: Double?, val mean: Double)

/** From so many runs on one in a hundred is more than a handful. */
private const val RUNS_FOR_P99 = 1_000

/** Percentiles of one or more latencies, by linear interpolation. */
fun summarise(seconds: DoubleArray): LatencySummary {
    if (seconds.isEmpty()) throw UsageException("there are no latencies to summarise; run the model once at least")
    val sorted = seconds.sortedArray()
    return LatencySummary(
        p50 = percentile(sorted, 0.50),
        p90 = percentile(sorted, 0.90),
        p99 = if (seconds.size >= RUNS_FOR_P99) percentile(sorted, 0.99) else null,
        mean = seconds.sum() / seconds.size,
    )
}

private fun percentile(sorted: DoubleArray, share: Double): Double {
    val place = share * (sorted.size - 1)
    val below = sorted[floor(place).toInt()]
    val above = sorted[ceil(place).toInt()]
    return below + (above - below) * (place - floor(place))
}
