package org.bertmobile.core.tasks

import org.bertmobile.core.Encoded
import org.bertmobile.core.IntTensor
import org.bertmobile.core.TaskName
import org.bertmobile.core.UsageException
import org.bertmobile.core.atLeastOne

/**
 * A token for a mask.
 *
 * @property token its id, and [word] its text.
 * @property sequence the whole text with the mask filled.
 */
data class Proposal(val score: Double, val token: Int, val word: String, val sequence: String)

/** fill-mask: the likeliest tokens for each mask of a text. */
class FillMask(private val context: Context) {
    private val tokenization = context.tokenization
    private val slots = context.manifest.maskSlots
    private val mask = context.manifest.tokenizer.mask
    private val pad = context.manifest.tokenizer.pad

    init {
        context.require(TaskName.FILL_MASK)
    }

    /**
     * Fill the masks of a text, each on its own.
     *
     * @param text holds the mask token at least once.
     * @param topK how many tokens for each mask.
     * @param targets consider these words only; a word that is not one token stands for its first piece. Scores are
     *   still relative to the whole vocabulary.
     * @return for each mask the proposals, best first.
     * @throws UsageException no mask token in the text, or an option is wrong.
     */
    fun answer(text: String, topK: Int = 5, targets: List<String>? = null): List<List<Proposal>> {
        atLeastOne("topK", topK)
        val allowed = targets?.let(::targetIds)
        val encoded = tokenization.encode(text)
        val positions = encoded.ids.indices.filter { encoded.ids[it] == mask.id }
        if (positions.isEmpty()) {
            val where = if (encoded.dropped > 0) "its first ${encoded.size} tokens" else "the text"
            throw UsageException("no mask token ${mask.token} in $where; put ${mask.token} where a word is missing")
        }
        val logits = logits(encoded, positions)
        return positions.mapIndexed { number, position ->
            val scores = softmax(logits[number])
            val best = Best(topK)
            if (allowed == null) {
                for (token in scores.indices) best.offer(token, scores[token])
            } else {
                for (token in allowed) best.offer(token, scores[token])
            }
            List(best.size) { proposal(encoded, position, best.item(it), best.score(it), positions.size == 1) }
        }
    }

    /** Scores of the vocabulary for each mask, in as many runs as the slots make necessary. */
    private fun logits(encoded: Encoded, positions: List<Int>): List<FloatArray> {
        if (slots == null) {
            val logits = context.output("logits", encoded.inputs)
            return positions.map(logits::row)
        }
        return positions.chunked(slots).flatMap { chunk ->
            val row = IntArray(slots) { chunk.getOrElse(it) { 0 } }
            val positionsOfChunk = IntTensor(intArrayOf(1, slots), row)
            val logits = context.output("logits", encoded.inputs + ("mask_positions" to positionsOfChunk))
            chunk.indices.map(logits::row)
        }
    }

    private fun proposal(encoded: Encoded, position: Int, token: Int, score: Float, single: Boolean): Proposal {
        val ids = encoded.ids.copyOf().also { it[position] = token }.filter { it != pad.id }.toIntArray()
        // With several masks the others stay visible, and so do all special tokens.
        val sequence = tokenization.decode(ids, skipSpecialTokens = single)
        val word = tokenization.decode(intArrayOf(token), skipSpecialTokens = false)
        return Proposal(score.toDouble(), token, word, sequence)
    }

    private fun targetIds(targets: List<String>): List<Int> {
        val found = targets.mapNotNull { tokenization.tokenId(it) ?: tokenization.tokenIds(it).firstOrNull() }
        if (found.isEmpty()) {
            throw UsageException("targets holds no word; leave it out to consider the whole vocabulary")
        }
        return found.distinct().sorted()
    }
}
