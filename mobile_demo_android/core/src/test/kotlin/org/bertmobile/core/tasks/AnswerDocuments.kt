package org.bertmobile.core.tasks

import kotlin.math.abs
import org.bertmobile.core.Case
import org.bertmobile.core.FunctionToApply
import org.bertmobile.core.Span
import org.bertmobile.core.TaskName
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue

/** What a task answers to a case's texts and options, as the Python runtime writes it. */
fun answer(context: Context, case: Case): Any {
    val options = case.case("options")
    val words = case.list("texts").first() as? List<*>
    if (words != null) return listOf(tokenClassification(context, words.map { it as String }, options))
    val (text, pair) = case.list("texts").map { it as String? }
    if (options.has("candidate_labels")) return zeroShot(context, text!!, options)
    return when (context.manifest.task) {
        TaskName.FILL_MASK -> fillMask(context, text!!, options)
        TaskName.TEXT_CLASSIFICATION -> textClassification(context, text!!, pair, options)
        TaskName.TOKEN_CLASSIFICATION -> tokenClassification(context, text!!, options)
        TaskName.QUESTION_ANSWERING -> questionAnswering(context, text!!, pair!!, options)
        TaskName.NEXT_SENTENCE -> NextSentence(context).answer(text!!, pair!!).document()
        TaskName.FEATURE_EXTRACTION -> featureExtraction(FeatureExtraction(context), text!!, options)
    }
}

/** Numbers may differ by a part of themselves, or of a thousandth where they are smaller. */
fun assertSame(expected: Any?, actual: Any?, close: Double, where: String = "answer") {
    when (expected) {
        is Map<*, *> -> {
            assertEquals(expected.keys, (actual as Map<*, *>).keys, where)
            for ((key, value) in expected) assertSame(value, actual[key], close, "$where.$key")
        }
        is List<*> -> {
            assertEquals(expected.size, (actual as List<*>).size, where)
            for ((index, value) in expected.withIndex()) assertSame(value, actual[index], close, "$where[$index]")
        }
        is Number -> {
            val (wanted, found) = expected.toDouble() to (actual as Number).toDouble()
            assertTrue(abs(wanted - found) <= close * maxOf(1e-3, abs(wanted)), "$where: $found instead of $wanted")
        }
        else -> assertEquals(expected, actual, where)
    }
}

private fun featureExtraction(task: FeatureExtraction, text: String, options: Case): Any {
    val (shape, values) = if (options.has("prompt") || options.has("prompt_name")) {
        val vector = task.embed(text, options["prompt_name"] as String?, options["prompt"] as String?)
        intArrayOf(1, vector.size) to vector
    } else {
        task.states(text).let { it.shape to it.values }
    }
    return mapOf("shape" to shape.toList(), "values" to values.toList())
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
    val function = FunctionToApply.entries.firstOrNull { it.spelling == options["function_to_apply"] }
    val labels = TextClassification(context).answer(text, pair, function).map { it.document() }
    val wantsOne = !options.has("top_k")
    // A text alone gives a list even of one, as the pipeline does.
    if (wantsOne) return if (pair == null) labels.take(1) else labels.first()
    return labels.take(options.int("top_k") ?: labels.size)
}

private fun zeroShot(context: Context, text: String, options: Case): Any {
    val candidates = options.list("candidate_labels").map { it as String }
    val template = options["hypothesis_template"] as String? ?: "This example is {}."
    val labels = ZeroShotClassification(context).answer(text, candidates, template, options["multi_label"] == true)
    return mapOf("sequence" to text, "labels" to labels.map { it.label }, "scores" to labels.map { it.score })
}

private fun tokenClassification(context: Context, input: Any, options: Case): Any {
    val delimiter = options["delimiter"] as String? ?: " "
    val text = if (input is List<*>) input.joinToString(delimiter) else input as String
    val aggregation = Aggregation.valueOf(options.string("aggregation_strategy").uppercase())
    val ignored = (options["ignore_labels"] as List<*>?)?.map { it as String } ?: listOf("O")
    val label = if (aggregation == Aggregation.NONE) "entity" else "entity_group"
    val (task, stride) = TokenClassification(context) to options.int("stride")
    val found = if (input is List<*>) {
        task.answer(input.map { it as String }, aggregation, ignored, stride, delimiter)
    } else {
        task.answer(text, aggregation, ignored, stride)
    }
    return found.map { entity ->
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
