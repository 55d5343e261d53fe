package org.bertmobile.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

class LatencyTest {
    @TestFactory
    fun `percentiles are those of the benchmarks`() = Vectors.tests("latencies") { case ->
        val summary = summarise(case.list("seconds").map { it as Double }.toDoubleArray())
        assertEquals(case["p50"] as Double, summary.p50, 1e-12)
        assertEquals(case["p90"] as Double, summary.p90, 1e-12)
        assertEquals(case["p99"] as Double?, summary.p99)
        assertEquals(case["mean"] as Double, summary.mean, 1e-12)
    }

    @Test
    fun `no latencies have no percentiles`() {
        assertThrows(UsageException::class.java) { summarise(doubleArrayOf()) }
    }
}
