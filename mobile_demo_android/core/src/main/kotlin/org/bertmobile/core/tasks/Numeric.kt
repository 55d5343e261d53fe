package org.bertmobile.core.tasks

import kotlin.math.exp

/** Softmax; the largest logit is taken off first, so that nothing overflows. */
internal fun softmax(logits: FloatArray): FloatArray {
    val largest = logits.max()
    var sum = 0.0
    val weights = FloatArray(logits.size) { index ->
        val weight = exp((logits[index] - largest).toDouble())
        sum += weight
        weight.toFloat()
    }
    for (index in weights.indices) weights[index] = (weights[index] / sum).toFloat()
    return weights
}

/** Logistic function, written so that exp() never overflows. */
internal fun sigmoid(logit: Float): Float {
    val weight = exp(-kotlin.math.abs(logit).toDouble())
    return ((if (logit >= 0) 1.0 else weight) / (1.0 + weight)).toFloat()
}

/** Index of the largest score, the first of equal ones. */
internal fun best(scores: FloatArray): Int {
    var best = 0
    for (index in scores.indices) if (scores[index] > scores[best]) best = index
    return best
}

/**
 * Keeps the [count] largest of the scores that it is offered, best first; of equal ones the first.
 *
 * A full sort of a vocabulary would take longer than a small model's run.
 */
internal class Best(private val count: Int) {
    private var scores = FloatArray(minOf(count, FEW))
    private var items = IntArray(minOf(count, FEW))
    var size = 0
        private set

    fun offer(item: Int, score: Float) {
        if (size == count && score <= scores[size - 1]) return
        if (size == scores.size && size < count) {
            scores = scores.copyOf(minOf(count, 2 * size))
            items = items.copyOf(scores.size)
        }
        var place = if (size < count) size++ else size - 1
        while (place > 0 && scores[place - 1] < score) {
            scores[place] = scores[place - 1]
            items[place] = items[place - 1]
            place--
        }
        scores[place] = score
        items[place] = item
    }

    fun item(place: Int): Int = items[place]

    fun score(place: Int): Float = scores[place]

    private companion object {
        const val FEW = 16
    }
}
