package org.bertmobile.core

/**
 * Tokens that are cut from a text whole, as `AddedVocabulary` of Hugging Face's tokenizers does it: of those that begin
 * first the longest, then its flags.
 *
 * @param tokens each with the code points by which it is found; of two with the same, the first counts.
 */
internal class AddedTokens(tokens: List<Pair<AddedToken, IntArray>>) {
    private val starts: IntArray
    private val patterns: Array<List<Pattern>>

    init {
        // Special ones are added first, by the library.
        val ordered = tokens.sortedBy { (token, _) -> !token.special }.map { (token, codes) -> Pattern(token, codes) }
        val byStart = ordered.sortedByDescending { it.codes.size }.groupBy { it.codes[0] }.toSortedMap()
        starts = byStart.keys.toIntArray()
        patterns = byStart.values.toTypedArray()
    }

    val isEmpty: Boolean get() = starts.isEmpty()

    /** Parts of `codes[from..<to]` in their order; [each] gets the token of a part, or null for text between tokens. */
    inline fun forEachPart(
        codes: IntArray,
        from: Int,
        to: Int,
        each: (token: AddedToken?, start: Int, end: Int) -> Unit,
    ) {
        var done = from
        var at = from
        while (at < to) {
            val found = patternAt(codes, at, to)
            if (found == null) {
                at++
                continue
            }
            var start = at
            var end = at + found.codes.size
            at = end
            val token = found.token
            if (token.singleWord && (joins(codes, start - 1, from, to) || joins(codes, end, from, to))) continue
            if (token.lstrip) while (start > done && UnicodeTables.isWhiteSpace(codes[start - 1])) start--
            if (token.rstrip) while (end < to && UnicodeTables.isWhiteSpace(codes[end])) end++
            if (done < start) each(null, done, start)
            each(token, start, end)
            done = end
        }
        if (done < to) each(null, done, to)
    }

    class Pattern(val token: AddedToken, val codes: IntArray)

    /** The longest token that begins at [at]. */
    fun patternAt(codes: IntArray, at: Int, to: Int): Pattern? {
        val place = starts.binarySearch(codes[at])
        if (place < 0) return null
        return patterns[place].firstOrNull { pattern ->
            at + pattern.codes.size <= to && pattern.codes.indices.all { pattern.codes[it] == codes[at + it] }
        }
    }

    /** Whether there is a code point at [index] that makes one word with its neighbour. */
    fun joins(codes: IntArray, index: Int, from: Int, to: Int): Boolean =
        index in from until to && UnicodeTables.isWord(codes[index])
}
