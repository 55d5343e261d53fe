package org.bertmobile.demo

import kotlin.math.sqrt
import org.bertmobile.core.FunctionToApply
import org.bertmobile.core.TaskName
import org.bertmobile.core.tasks.Aggregation
import org.bertmobile.core.tasks.Context
import org.bertmobile.core.tasks.FeatureExtraction
import org.bertmobile.core.tasks.FillMask
import org.bertmobile.core.tasks.NextSentence
import org.bertmobile.core.tasks.QuestionAnswering
import org.bertmobile.core.tasks.TextClassification
import org.bertmobile.core.tasks.TokenClassification

/** A label, a word or an answer, with its score; [detail] is the sentence that a word stands in. */
data class Line(val text: String, val score: Double, val detail: String? = null)

/** A part of a text in UTF-16 units, and what it is; null where it is an answer. */
data class Mark(val start: Int, val end: Int, val label: String?, val score: Double)

/** What a task's screen shows. */
sealed interface Answer {
    /**
     * Best first. For a text with several masks a list for each.
     *
     * @property shares whether scores are from 0 to 1, which bare outputs need not be.
     */
    data class Ranked(val lists: List<List<Line>>, val shares: Boolean = true) : Answer

    /** Parts of [text], which is the one of the fields that they are in. */
    data class Marked(val text: String, val marks: List<Mark>) : Answer

    /** A text became so many numbers; [likeness] to the other text is from -1 to 1, null where there is none. */
    data class Embedded(val size: Int, val likeness: Double?) : Answer
}

/** How many proposals or labels are shown. */
private const val SHOWN = 5

/** What answers the texts of a task's fields. */
fun answererOf(context: Context): (List<String>) -> Answer = when (context.manifest.task) {
    TaskName.FILL_MASK -> FillMask(context).let { task -> { (text) -> proposals(task, text) } }
    TaskName.NEXT_SENTENCE -> NextSentence(context).let { task ->
        { (text, next) ->
            val label = task.answer(text, next)
            Answer.Ranked(listOf(listOf(Line(label.label, label.score))))
        }
    }
    TaskName.TEXT_CLASSIFICATION -> TextClassification(context).let { task ->
        val shares = context.manifest.functionToApply != FunctionToApply.NONE
        val labels = { (text, pair): List<String> -> task.answer(text, pair).map { Line(it.label, it.score) } };
        { texts -> Answer.Ranked(listOf(labels(texts).take(SHOWN)), shares) }
    }
    TaskName.TOKEN_CLASSIFICATION -> TokenClassification(context).let { task -> { (text) -> entities(task, text) } }
    TaskName.QUESTION_ANSWERING -> QuestionAnswering(context).let { task ->
        { (question, passage) -> passages(task, question, passage) }
    }
    TaskName.FEATURE_EXTRACTION -> FeatureExtraction(context).let { task ->
        { (text, other) -> embed(task, text, other) }
    }
}

private fun proposals(task: FillMask, text: String) =
    Answer.Ranked(task.answer(text, SHOWN).map { list -> list.map { Line(it.word, it.score, it.sequence) } })

private fun entities(task: TokenClassification, text: String) = Answer.Marked(
    text,
    task.answer(text, Aggregation.SIMPLE).map { Mark(it.span.utf16Start, it.span.utf16End, it.label, it.score) },
)

private fun passages(task: QuestionAnswering, question: String, passage: String) = Answer.Marked(
    passage,
    task.answer(question, passage).map { Mark(it.span.utf16Start, it.span.utf16End, null, it.score) },
)

private fun embed(task: FeatureExtraction, text: String, other: String): Answer {
    val vector = task.embed(text)
    val likeness = if (other.isEmpty()) null else cosine(vector, task.embed(other))
    return Answer.Embedded(vector.size, likeness)
}

private fun cosine(one: FloatArray, other: FloatArray): Double {
    var product = 0.0
    var ownSquares = 0.0
    var otherSquares = 0.0
    for (index in one.indices) {
        product += one[index].toDouble() * other[index]
        ownSquares += one[index].toDouble() * one[index]
        otherSquares += other[index].toDouble() * other[index]
    }
    return product / sqrt(ownSquares * otherSquares)
}
