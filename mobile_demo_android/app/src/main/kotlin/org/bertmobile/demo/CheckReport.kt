package org.bertmobile.demo

import org.bertmobile.core.GoldenCase
import org.bertmobile.core.GoldenResult

/** An output that is not what it should be. */
data class CheckFailure(val text: String, val output: String, val maxAbs: Double, val cosine: Double)

/**
 * How a phone's answers compare with the golden ones.
 *
 * @property largest difference from the exporting machine's answers; not a number where an answer is none.
 * @property leastCosine likeness to PyTorch's answers, the worst of all.
 */
data class CheckReport(
    val cases: Int,
    val largest: Double,
    val leastCosine: Double,
    val failures: List<CheckFailure>,
) {
    val passed: Boolean get() = failures.isEmpty()

    companion object {
        fun of(cases: List<GoldenCase>, results: List<GoldenResult>) = CheckReport(
            cases = cases.size,
            largest = results.maxOf { it.maxAbs },
            leastCosine = results.minOf { it.cosine },
            failures = results.filterNot { it.passed }
                .map { CheckFailure(cases[it.case].text, it.output, it.maxAbs, it.cosine) },
        )
    }
}
