package org.bertmobile.core.tasks

import org.bertmobile.core.ProblemType
import org.bertmobile.core.TaskName

/** text-classification: the labels of a text or a pair of texts. */
class TextClassification(private val context: Context) {
    private val labels = context.manifest.labels
    private val problemType = context.manifest.problemType

    init {
        context.require(TaskName.TEXT_CLASSIFICATION)
    }

    /**
     * Label a text or a pair.
     *
     * @return all labels, best first. A score is a softmax, a sigmoid where there may be several labels or there is
     *   only one, and the bare output of a regression.
     */
    fun answer(text: String, pair: String? = null): List<Label> {
        val logits = context.output("logits", context.tokenization.encode(text, pair).inputs).values
        val scores = scores(logits)
        return labels.mapIndexed { index, label -> Label(label, scores[index].toDouble()) }
            .sortedByDescending { it.score }
    }

    private fun scores(logits: FloatArray): FloatArray = when {
        problemType == ProblemType.REGRESSION -> logits
        problemType == ProblemType.MULTI_LABEL || labels.size == 1 -> FloatArray(logits.size) { sigmoid(logits[it]) }
        else -> softmax(logits)
    }
}
