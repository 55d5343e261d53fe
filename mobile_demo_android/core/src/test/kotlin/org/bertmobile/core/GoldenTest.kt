package org.bertmobile.core

import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class GoldenTest {
    private val bundle = Bundle.open(Vectors.bundle)
    private val golden = bundle.golden()

    @Test
    fun `a model that answers as the exporting machine did passes`() {
        val results = golden.check(bundle.manifest, MadeUp { it })
        assertEquals(golden.cases.size, results.size)
        assertTrue(results.all { it.passed && it.maxAbs == 0.0 }, results.toString())
    }

    @Test
    fun `a model that is off by more than the tolerance fails`() {
        assertTrue(golden.check(bundle.manifest, MadeUp { it + 0.0009f }).all { it.passed })
        assertFalse(golden.check(bundle.manifest, MadeUp { it + 0.0011f }).any { it.passed })
    }

    @Test
    fun `an output that is no number fails`() {
        assertFalse(golden.check(bundle.manifest, MadeUp { Float.NaN }).any { it.passed })
    }

    @Test
    fun `a model of another shape is named`() {
        val engine = MadeUp(labels = 2) { it }
        val failure = assertThrows(BundleException::class.java) { golden.check(bundle.manifest, engine) }
        assertTrue("only 2 numbers of logits" in failure.message!!, failure.message)
    }

    @Test
    fun `golden answers that compare nothing are refused`() {
        val text = Vectors.bundle.resolve(Golden.FILE).readText()
        refused("cases is not a list of one or more", text.replace(Regex("\"cases\": \\[.*]", DOT), "\"cases\": []"))
        val without = text.replaceFirst(Regex("\"outputs\": \\{.*?\\}\\s*\\}", DOT), "\"outputs\": {}")
        refused("cases[0]: outputs is not an object of one or more", without)
    }

    @Test
    fun `the tokenizer gives the inputs of each case`() {
        val tokenization = bundle.tokenization()
        for (case in golden.cases) {
            val encoded = tokenization.encode(case.text, case.pair)
            for ((name, values) in case.inputs) {
                assertArrayEquals(values, encoded.inputs.getValue(name).values.copyOf(values.size), name)
                assertEquals(case.bucket, encoded.inputs.getValue(name).values.size)
            }
        }
    }

    private fun refused(message: String, json: String) {
        val failure = assertThrows(BundleException::class.java) { Golden.parse(json) }
        assertTrue(message in failure.message!!, failure.message)
    }

    /** The made-up model of `tests/vectors/bundle.py`, with its answers changed. */
    private class MadeUp(private val labels: Int = 3, private val change: (Float) -> Float) : TestEngine() {
        override fun run(inputs: Map<String, IntTensor>): Map<String, FloatTensor> {
            val attended = inputs.getValue("attention_mask").values
            val sum = inputs.getValue("input_ids").values.filterIndexed { index, _ -> attended[index] == 1 }.sum()
            val logits = FloatArray(labels) { change(sum * (it + 3) % 17 / 4f) }
            return mapOf("logits" to FloatTensor(intArrayOf(1, labels), logits))
        }
    }

    private companion object {
        val DOT = RegexOption.DOT_MATCHES_ALL
    }
}
