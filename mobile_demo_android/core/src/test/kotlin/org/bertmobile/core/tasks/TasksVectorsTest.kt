package org.bertmobile.core.tasks

import kotlin.math.abs
import org.bertmobile.core.Case
import org.bertmobile.core.FloatTensor
import org.bertmobile.core.IntTensor
import org.bertmobile.core.Span
import org.bertmobile.core.TaskName
import org.bertmobile.core.TestEngine
import org.bertmobile.core.Tokenization
import org.bertmobile.core.Vectors
import org.bertmobile.core.ints
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.TestFactory

/** Scores are float32, and the order of a sum is nobody's business. */
private const val CLOSE = 2e-6

class TasksVectorsTest {
    @TestFactory
    fun `outputs become the answers of the Python runtime`() = Vectors.tests("tasks") { case ->
        val manifest = Vectors.manifest(case.map("manifest"))
        val engine = Replay(case.list("runs").map { Case(it as Map<*, *>) })
        val tokenization = Tokenization(manifest, Vectors.vocabulary("small-vocab.txt", manifest.tokenizer))
        val context = Context(manifest, tokenization, engine)
        val (text, pair) = case.list("texts").map { it as String? }
        val options = case.case("options")
        val answer = when (manifest.task) {
            TaskName.FILL_MASK -> fillMask(context, text!!, options)
            TaskName.TEXT_CLASSIFICATION -> textClassification(context, text!!, pair, options)
            TaskName.TOKEN_CLASSIFICATION -> tokenClassification(context, text!!, options)
            TaskName.QUESTION_ANSWERING -> questionAnswering(context, text!!, pair!!, options)
            TaskName.NEXT_SENTENCE -> NextSentence(context).answer(text!!, pair!!).document()
            TaskName.FEATURE_EXTRACTION -> FeatureExtraction(context).states(text!!).let {
                mapOf("shape" to it.shape.toList(), "values" to it.values.toList())
            }
        }
        assertSame(case["answer"], answer, "answer")
        engine.assertDone()
    }

    private fun fillMask(context: Context, text: String, options: Case): Any {
        val targets = (options["targets"] as List<*>?)?.map { it as String }
        val filled = FillMask(context).answer(text, options.int("top_k") ?: 5, targets).map { proposals ->
            proposals.map {
                mapOf("score" to it.score, "token" to it.token, "token_str" to it.word, "sequence" to it.sequence)
            }
        }
        return filled.singleOrNull() ?: filled
    }

    private fun textClassification(context: Context, text: String, pair: String?, options: Case): Any {
        val labels = TextClassification(context).answer(text, pair).map { it.document() }
        val wantsOne = !options.has("top_k")
        return if (wantsOne) labels.first() else labels.take(options.int("top_k") ?: labels.size)
    }

    private fun tokenClassification(context: Context, text: String, options: Case): Any {
        val aggregation = Aggregation.valueOf(options.string("aggregation_strategy").uppercase())
        val ignored = (options["ignore_labels"] as List<*>?)?.map { it as String } ?: listOf("O")
        val label = if (aggregation == Aggregation.NONE) "entity" else "entity_group"
        return TokenClassification(context).answer(text, aggregation, ignored).map { entity ->
            assertUtf16(entity.span, text)
            val known = mapOf(
                label to entity.label, "score" to entity.score, "word" to entity.word,
                "start" to entity.span.start, "end" to entity.span.end,
            )
            if (entity.index == null) known else known + ("index" to entity.index)
        }
    }

    private fun questionAnswering(context: Context, question: String, text: String, options: Case): Any {
        val topK = options.int("top_k") ?: 1
        val answers = QuestionAnswering(context).answer(
            question,
            text,
            topK,
            options.int("max_answer_len") ?: 15,
            options.int("doc_stride"),
            options["handle_impossible_answer"] == true,
        ).map {
            assertEquals(it.text, text.substring(it.span.utf16Start, it.span.utf16End))
            mapOf("score" to it.score, "start" to it.span.start, "end" to it.span.end, "answer" to it.text)
        }
        return if (topK == 1) answers.single() else answers
    }

    private fun assertUtf16(span: Span, text: String) {
        assertEquals(span.start, text.codePointCount(0, span.utf16Start))
        assertEquals(span.end, text.codePointCount(0, span.utf16End))
    }

    private fun Label.document() = mapOf("label" to label, "score" to score)

    private fun assertSame(expected: Any?, actual: Any?, where: String) {
        when (expected) {
            is Map<*, *> -> {
                assertEquals(expected.keys, (actual as Map<*, *>).keys, where)
                for ((key, value) in expected) assertSame(value, actual[key], "$where.$key")
            }
            is List<*> -> {
                assertEquals(expected.size, (actual as List<*>).size, where)
                for ((index, value) in expected.withIndex()) assertSame(value, actual[index], "$where[$index]")
            }
            is Number -> {
                val (wanted, found) = expected.toDouble() to (actual as Number).toDouble()
                assertTrue(abs(wanted - found) <= CLOSE * maxOf(1e-3, abs(wanted)), "$where: $found instead of $wanted")
            }
            else -> assertEquals(expected, actual, where)
        }
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
