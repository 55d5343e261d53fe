package org.bertmobile.core.tasks

import org.bertmobile.core.FunctionToApply
import org.bertmobile.core.TaskName

/** text-classification: the labels of a text or a pair of texts. */
class TextClassification(private val context: Context) {
    private val labels = context.manifest.labels

    init {
        context.require(TaskName.TEXT_CLASSIFICATION)
    }

    /**
     * Label a text or a pair.
     *
     * @param functionToApply what makes scores of the model's outputs; by default what the manifest says.
     * @return all labels, best first.
     */
    fun answer(text: String, pair: String? = null, functionToApply: FunctionToApply? = null): List<Label> {
        val logits = context.output("logits", context.tokenization.encode(text, pair).inputs).values
        val scores = scores(logits, functionToApply ?: context.manifest.functionToApply)
        return labels.mapIndexed { index, label -> Label(label, scores[index].toDouble()) }
            .sortedByDescending { it.score }
    }

    private fun scores(logits: FloatArray, function: FunctionToApply?): FloatArray = when (function) {
        FunctionToApply.SIGMOID -> FloatArray(logits.size) { sigmoid(logits[it]) }
        FunctionToApply.NONE -> logits
        FunctionToApply.SOFTMAX, null -> softmax(logits)
    }
}
