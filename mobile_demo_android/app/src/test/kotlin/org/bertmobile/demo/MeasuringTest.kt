package org.bertmobile.demo

import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class MeasuringTest {
    private class StandInPhone(override val debuggable: Boolean = false, private val status: Int? = 0) : Phone {
        override fun thermalStatus() = status
    }

    private val steady = DoubleArray(100) { 0.2 }

    @Test
    fun `a steady measurement is not doubted`() {
        val report = report(32, steady, StandInPhone(), thermalBefore = 0)
        assertEquals(emptyList<Doubt>(), report.doubts)
        assertEquals(0.2, report.latency.p50)
        assertEquals(100, report.runs)
    }

    @Test
    fun `what speaks against a measurement is told`() {
        assertEquals(listOf<Doubt>(Doubt.FewRuns(49)), doubts(DoubleArray(49) { 0.25 }))
        assertEquals(listOf<Doubt>(Doubt.ShortTime(6.25)), doubts(DoubleArray(50) { 0.125 }))
        assertEquals(Doubt.WideSpread(2.0), doubts(DoubleArray(100) { if (it % 5 == 0) 0.4 else 0.2 }).single())
        val drift = doubts(DoubleArray(100) { if (it < 50) 0.2 else 0.25 }).single() as Doubt.Drift
        assertEquals(0.25, drift.share, 1e-9)
    }

    @Test
    fun `a phone that is hot before or after is told`() {
        assertEquals(listOf<Doubt>(Doubt.Throttled(2)), report(8, steady, StandInPhone(), 2).doubts)
        assertEquals(listOf<Doubt>(Doubt.Throttled(3)), report(8, steady, StandInPhone(status = 3), 0).doubts)
        assertEquals(emptyList<Doubt>(), report(8, steady, StandInPhone(status = null), null).doubts)
    }

    @Test
    fun `a build that can be debugged is told`() {
        assertEquals(listOf<Doubt>(Doubt.Debuggable), report(8, steady, StandInPhone(debuggable = true), 0).doubts)
    }

    @Test
    fun `runs go on until there are enough of both kinds`() {
        var runs = 0
        val seconds = measure({ runs++ }, Amount(warmUpRuns = 4, runs = 20, seconds = 0.0)) { true }
        assertEquals(24, runs)
        assertEquals(20, seconds.size)
        val longer = measure({ Thread.sleep(1) }, Amount(warmUpRuns = 0, runs = 1, seconds = 0.05)) { true }
        assertTrue(longer.size > 1 && longer.sum() >= 0.05, "${longer.size} runs, ${longer.sum()} s")
    }

    @Test
    fun `who does not want to go on ends it`() {
        val told = ArrayList<Double>()
        val seconds = measure({}, Amount(warmUpRuns = 0, runs = 4, seconds = 0.0)) { told.add(it) && told.size < 2 }
        assertEquals(2, seconds.size)
        assertArrayEquals(doubleArrayOf(0.25, 0.5), told.toDoubleArray())
    }

    @Test
    fun `inputs fill a bucket with words of the vocabulary`() {
        val manifest = TestBundles.open().manifest
        val inputs = fullInputs(manifest, 16)
        assertEquals(manifest.inputs.map { it.name }.toSet(), inputs.keys)
        assertTrue(inputs.getValue("input_ids").values.all { it in 1 until manifest.tokenizer.vocabSize })
        assertTrue(inputs.getValue("attention_mask").values.all { it == 1 })
        assertTrue(inputs.values.all { it.shape.contentEquals(intArrayOf(1, 16)) })
    }

    private fun doubts(seconds: DoubleArray) = report(32, seconds, StandInPhone(), 0).doubts
}
