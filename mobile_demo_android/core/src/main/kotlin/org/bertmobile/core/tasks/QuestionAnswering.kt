package org.bertmobile.core.tasks

import org.bertmobile.core.Encoded
import org.bertmobile.core.FloatTensor
import org.bertmobile.core.Span
import org.bertmobile.core.TaskName
import org.bertmobile.core.UnicodeTables
import org.bertmobile.core.UsageException
import org.bertmobile.core.atLeastOne
import org.bertmobile.core.output

/** A part of a context; empty for "no answer". */
data class Answer(val score: Double, val span: Span, val text: String)

/** question-answering: the part of a context that answers a question, as the classic pipeline finds it. */
class QuestionAnswering(private val context: Context) {
    init {
        context.require(TaskName.QUESTION_ANSWERING)
    }

    /**
     * Answer a question from a context of any length.
     *
     * @param question must fit a run whole.
     * @param text the context that holds the answer.
     * @param topK how many answers.
     * @param longestAnswer in tokens, before it is widened to whole words.
     * @param stride tokens shared by neighbouring windows of a long context; see `Tokenization.windows`.
     * @param mayBeImpossible let "no answer" (an empty text) compete.
     * @return the best first. Equal answers are one, with the sum of their scores, so a score may exceed 1 where
     *   windows overlap.
     * @throws UsageException an empty question, a context without words, or a wrong option.
     */
    fun answer(
        question: String,
        text: String,
        topK: Int = 1,
        longestAnswer: Int = 15,
        stride: Int? = null,
        mayBeImpossible: Boolean = false,
    ): List<Answer> {
        atLeastOne("topK", topK)
        atLeastOne("longestAnswer", longestAnswer)
        if (question.isEmpty()) throw UsageException("the question is empty; ask something")
        val answers = LinkedHashMap<String, Answer>()
        var noAnswer = Double.POSITIVE_INFINITY
        for (window in context.tokenization.windows(question, text, stride)) {
            val from = (0 until window.size).firstOrNull { window.textOf(it) == 1 }
                ?: throw UsageException("the context holds no words; give the text that holds the answer")
            val outputs = context.engine.run(window.inputs)
            val start = probabilities(outputs.output("start_logits"), window.size, from)
            val end = probabilities(outputs.output("end_logits"), window.size, from)
            noAnswer = minOf(noAnswer, (start[0] * end[0]).toDouble())
            // Widening to words makes answers equal: take more than are asked for.
            val count = minOf(2L * topK + 10, Int.MAX_VALUE.toLong()).toInt()
            val spans = bestSpans(start, end, from, count, longestAnswer)
            for (place in 0 until spans.size) {
                val first = spans.item(place) / window.size
                val last = spans.item(place) % window.size
                add(answers, window, wordStart(window, first), wordEnd(window, last), spans.score(place).toDouble())
            }
        }
        val found = answers.values.toMutableList()
        if (mayBeImpossible) found.add(Answer(noAnswer, Span(0, 0, 0, 0), ""))
        return found.sortedByDescending { it.score }.take(topK)
    }

    private fun add(answers: MutableMap<String, Answer>, window: Encoded, start: Int, end: Int, score: Double) {
        val answer = window.substring(1, start, end)
        val key = UnicodeTables.lower(answer)
        val known = answers[key]
        answers[key] = known?.copy(score = known.score + score) ?: Answer(score, window.span(1, start, end), answer)
    }

    /**
     * Softmax over the first token and the context's, which run from [from] to the last but one. The share of the first
     * is the score of "no answer" in this window.
     */
    private fun probabilities(logits: FloatTensor, size: Int, from: Int): FloatArray {
        val inside = FloatArray(size - from) { logits.values[if (it == 0) 0 else from + it - 1] }
        val scores = FloatArray(size)
        softmax(inside).forEachIndexed { index, score -> scores[if (index == 0) 0 else from + index - 1] = score }
        return scores
    }

    /** The best spans of the tokens from [from] to the last but one; an item is `first * tokens + last`. */
    private fun bestSpans(start: FloatArray, end: FloatArray, from: Int, count: Int, longest: Int): Best {
        val best = Best(count)
        val stop = start.size - 1
        for (first in from until stop) {
            for (last in first until minOf(stop - first, longest) + first) {
                best.offer(first * start.size + last, start[first] * end[last])
            }
        }
        return best
    }

    /** Where the word of a context token begins, as far as this window shows it. */
    private fun wordStart(window: Encoded, index: Int): Int {
        var at = index
        while (window.textOf(at - 1) == 1 && window.wordOf(at - 1) == window.wordOf(at)) at--
        return window.start(at)
    }

    private fun wordEnd(window: Encoded, index: Int): Int {
        var at = index
        while (window.textOf(at + 1) == 1 && window.wordOf(at + 1) == window.wordOf(at)) at++
        return window.end(at)
    }
}
