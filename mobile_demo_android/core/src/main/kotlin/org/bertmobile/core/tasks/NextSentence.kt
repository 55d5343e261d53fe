package org.bertmobile.core.tasks

import org.bertmobile.core.TaskName

/** next-sentence: does the second text follow the first? */
class NextSentence(private val context: Context) {
    init {
        context.require(TaskName.NEXT_SENTENCE)
    }

    /** Judge a pair: the likelier of `is_next` and `not_next`. */
    fun answer(text: String, pair: String): Label {
        val scores = softmax(context.output("logits", context.tokenization.encode(text, pair).inputs).values)
        val best = best(scores)
        return Label(LABELS[best], scores[best].toDouble())
    }

    private companion object {
        /** In the order of BERT's own head. */
        val LABELS = listOf("is_next", "not_next")
    }
}
