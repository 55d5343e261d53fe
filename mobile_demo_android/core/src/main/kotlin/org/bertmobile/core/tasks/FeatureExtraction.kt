package org.bertmobile.core.tasks

import org.bertmobile.core.BundleException
import org.bertmobile.core.EmbeddingSpec
import org.bertmobile.core.FloatTensor
import org.bertmobile.core.TaskName
import org.bertmobile.core.UsageException

/** feature-extraction: token states, and one vector for a text. */
class FeatureExtraction(private val context: Context) {
    private val embedding: EmbeddingSpec

    init {
        context.require(TaskName.FEATURE_EXTRACTION)
        embedding = context.manifest.embedding
            ?: throw BundleException("${context.manifest.name} does not describe its embedding; export it again")
    }

    /** States of a text's tokens, special ones included: [1, tokens, hidden]. */
    fun states(text: String): FloatTensor {
        val encoded = context.tokenization.encode(text)
        val states = context.output("last_hidden_state", encoded.inputs)
        val hidden = states.shape.last()
        return FloatTensor(intArrayOf(1, encoded.size, hidden), states.values.copyOf(encoded.size * hidden))
    }

    /**
     * The vector of a text, as sentence-transformers makes it: [EmbeddingSpec.size] numbers.
     *
     * @param promptName which of the manifest's prompts to put before the text; by default its default one, if any.
     * @param prompt what to put before the text instead; an empty one for nothing.
     * @throws UsageException the manifest has no such prompt.
     */
    fun embed(text: String, promptName: String? = null, prompt: String? = null): FloatArray {
        val encoded = context.tokenization.encode(text, prompt = prompt ?: prompt(promptName))
        return context.output("sentence_embedding", encoded.inputs).values
    }

    private fun prompt(name: String?): String {
        val chosen = name ?: embedding.defaultPrompt ?: return ""
        return embedding.prompts[chosen] ?: throw UsageException(
            "no prompt is called $chosen; known: ${embedding.prompts.keys.joinToString().ifEmpty { "none" }}",
        )
    }
}
