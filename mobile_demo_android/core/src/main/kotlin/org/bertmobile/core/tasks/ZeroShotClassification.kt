package org.bertmobile.core.tasks

import org.bertmobile.core.TaskName
import org.bertmobile.core.UnicodeTables
import org.bertmobile.core.UsageException

/**
 * What text-classification bundles do whose labels tell entailment from contradiction: each label makes a hypothesis,
 * and the head judges whether the text entails it (Yin et al., 2019).
 */
class ZeroShotClassification(private val context: Context) {
    private val entailment: Int
    private val contradiction: Int

    init {
        context.require(TaskName.TEXT_CLASSIFICATION)
        val labels = context.manifest.labels
        entailment = labels.indexOfFirst { it.startsWithSmall("entail") }
        if (entailment < 0 || labels.size < 2) {
            throw UsageException(
                "zero-shot classification needs a model of entailment, with a label such as 'entailment'; the labels " +
                    "of this one are ${labels.joinToString()}",
            )
        }
        val named = labels.indexOfFirst { it.startsWithSmall("contra") }
        // Heads without that name, such as entailment against its absence: the first or the last.
        contradiction = if (named >= 0) named else if (entailment == 0) labels.lastIndex else 0
    }

    /**
     * Rank labels for a text.
     *
     * @param text what does not fit is dropped from its end, and never from a hypothesis.
     * @param candidateLabels the labels.
     * @param hypothesisTemplate a sentence with `{}` where a label goes.
     * @param multiLabel whether several labels may hold: each is then judged alone, as entailment against
     *   contradiction. So is a single label.
     * @return the labels, best first. Their scores add up to 1, but for [multiLabel].
     * @throws UsageException no label, an empty text, a template without `{}`, or a hypothesis that leaves no room.
     */
    fun answer(
        text: String,
        candidateLabels: List<String>,
        hypothesisTemplate: String = HYPOTHESIS,
        multiLabel: Boolean = false,
    ): List<Label> {
        if (candidateLabels.isEmpty()) throw UsageException("there are no labels to choose from; give one or more")
        if (text.isEmpty()) throw UsageException("the text is empty; give one that a label may hold of")
        if (GAP !in hypothesisTemplate) {
            throw UsageException("the template must have $GAP where a label goes, not \"$hypothesisTemplate\"")
        }
        val logits = candidateLabels.map { label ->
            val encoded = context.tokenization.encode(text, hypothesisTemplate.replace(GAP, label), keepPair = true)
            context.output("logits", encoded.inputs).values
        }
        val scores = if (multiLabel || logits.size == 1) {
            logits.map { softmax(floatArrayOf(it[contradiction], it[entailment]))[1] }
        } else {
            softmax(FloatArray(logits.size) { logits[it][entailment] }).toList()
        }
        val labelled = candidateLabels.mapIndexed { index, label -> Label(label, scores[index].toDouble()) }
        return labelled.sortedBy { it.score }.reversed()
    }

    private companion object {
        const val HYPOTHESIS = "This example is {}."
        const val GAP = "{}"
    }
}

private fun String.startsWithSmall(prefix: String): Boolean = UnicodeTables.lower(this).startsWith(prefix)
