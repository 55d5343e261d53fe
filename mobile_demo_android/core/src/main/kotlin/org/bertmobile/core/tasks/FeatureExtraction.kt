package org.bertmobile.core.tasks

import org.bertmobile.core.BundleException
import org.bertmobile.core.FloatTensor
import org.bertmobile.core.TaskName

/** feature-extraction: token states, and one vector for a text. */
class FeatureExtraction(private val context: Context) {
    init {
        context.require(TaskName.FEATURE_EXTRACTION)
        if (context.manifest.embedding == null) {
            throw BundleException("${context.manifest.name} does not describe its embedding; export it again")
        }
    }

    /** States of a text's tokens, special ones included: [1, tokens, hidden]. */
    fun states(text: String): FloatTensor {
        val encoded = context.tokenization.encode(text)
        val states = context.output("last_hidden_state", encoded.inputs)
        val hidden = states.shape.last()
        return FloatTensor(intArrayOf(1, encoded.size, hidden), states.values.copyOf(encoded.size * hidden))
    }

    /** The vector of a text, pooled and normalised as the manifest's embedding says. */
    fun embed(text: String): FloatArray =
        context.output("sentence_embedding", context.tokenization.encode(text).inputs).values
}
