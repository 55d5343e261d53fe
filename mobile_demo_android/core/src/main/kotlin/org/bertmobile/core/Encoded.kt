package org.bertmobile.core

/**
 * Where something is in a text: [start] and [end] count code points, as Python does, and [utf16Start] and [utf16End]
 * the units of a Kotlin string.
 */
data class Span(val start: Int, val end: Int, val utf16Start: Int, val utf16End: Int)

/**
 * One run's worth of tokens. [inputs] are the model's, [1, bucket], padded; everything else has one entry for each
 * token without the padding.
 *
 * @property inputs those of `input_ids`, `attention_mask`, `token_type_ids` and `pooling_mask` that the model has.
 * @property ids token ids.
 * @property dropped number of tokens that did not fit the longest bucket.
 */
class Encoded internal constructor(
    val inputs: Map<String, IntTensor>,
    val ids: IntArray,
    val dropped: Int,
    private val first: Tokens,
    private val second: Tokens?,
    private val firstBegin: Int,
    private val secondBegin: Int,
    private val firstSize: Int,
    private val secondSize: Int,
) {
    /** Number of tokens without the padding. */
    val size: Int get() = ids.size

    /** Tokens of a long text that come before those of this window. */
    internal val begin: Int get() = if (second == null) firstBegin else secondBegin

    /** The text of a token, 0 or 1, or [NONE] for one that the tokenizer added, such as the one at the start. */
    fun textOf(index: Int): Int = when (index) {
        in 1..firstSize -> 0
        in firstSize + 2..firstSize + 1 + secondSize -> 1
        else -> NONE
    }

    /** Whether the tokenizer added a token, so that it is in none of the texts. */
    fun isSpecial(index: Int): Boolean = textOf(index) == NONE

    /** Number of a token's word in its text, or [NONE] for an added one. */
    fun wordOf(index: Int): Int = at(index, NONE) { tokens, token -> tokens.words[token] }

    /** First code point of a token in its text; 0 for an added one. */
    fun start(index: Int): Int = at(index, 0) { tokens, token -> tokens.starts[token] }

    /** End of a token in its text, in code points; 0 for an added one. */
    fun end(index: Int): Int = at(index, 0) { tokens, token -> tokens.ends[token] }

    /** Where a token is in its text. */
    fun span(index: Int): Span = span(textOf(index), start(index), end(index))

    internal fun span(text: Int, start: Int, end: Int): Span {
        val codes = codes(text)
        return Span(start, end, codes.utf16(start), codes.utf16(end))
    }

    internal fun substring(text: Int, start: Int, end: Int): String = codes(text).substring(start, end)

    private fun codes(text: Int): CodePoints = (if (text == 1) checkNotNull(second) else first).text

    private inline fun at(index: Int, none: Int, read: (Tokens, Int) -> Int): Int = when (textOf(index)) {
        0 -> read(first, firstBegin + index - 1)
        1 -> read(checkNotNull(second), secondBegin + index - firstSize - 2)
        else -> none
    }

    companion object {
        /** Stands for no text and no word. */
        const val NONE = -1
    }
}
