package org.bertmobile.core.tasks

import org.bertmobile.core.Case
import org.bertmobile.core.FloatTensor
import org.bertmobile.core.IntTensor
import org.bertmobile.core.TestEngine
import org.bertmobile.core.Tokenization
import org.bertmobile.core.Vectors
import org.bertmobile.core.ints
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.TestFactory

/** Scores are float32, and the order of a sum is nobody's business. */
private const val CLOSE = 2e-6

class TasksVectorsTest {
    @TestFactory
    fun `outputs become the answers of the Python runtime`() = Vectors.tests("tasks") { case ->
        val manifest = Vectors.manifest(case.map("manifest"))
        val engine = Replay(case.list("runs").map { Case(it as Map<*, *>) })
        val tokenization = Tokenization(manifest, Vectors.vocabulary("small-vocab.txt", manifest.tokenizer))
        assertSame(case["answer"], answer(Context(manifest, tokenization, engine), case), CLOSE)
        engine.assertDone()
    }
}

/** Gives the outputs of a case, run by run, for the inputs of the case only. */
private class Replay(private val runs: List<Case>) : TestEngine() {
    private var next = 0

    override fun run(inputs: Map<String, IntTensor>): Map<String, FloatTensor> {
        val run = runs[next++]
        val expected = run.map("inputs")
        assertEquals(expected.keys, inputs.keys)
        for ((name, values) in expected) {
            assertArrayEquals(ints(values as List<*>), inputs.getValue(name as String).values, name)
        }
        return run.map("outputs").entries.associate { (name, output) ->
            val tensor = Case(output as Map<*, *>)
            val values = tensor.list("values").map { (it as Number).toFloat() }
            name as String to FloatTensor(tensor.ints("shape"), values.toFloatArray())
        }
    }

    fun assertDone() = assertEquals(runs.size, next, "runs")
}
