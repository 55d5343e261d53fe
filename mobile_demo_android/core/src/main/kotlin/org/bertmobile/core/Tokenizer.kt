package org.bertmobile.core

/**
 * Tokens of one text, without those that a model's input has around them.
 *
 * @property starts, [ends] code points of the text.
 * @property words number of the word that a token is a part of.
 */
internal class Tokens(
    val text: CodePoints,
    val ids: IntArray,
    val starts: IntArray,
    val ends: IntArray,
    val words: IntArray,
) {
    val size: Int get() = ids.size
}

/**
 * BERT's tokenizer as Hugging Face's `tokenizers` has it: added tokens kept whole, the rest of the text normalized, cut
 * at white space and punctuation, and each word split into the longest tokens there are. Safe to use from several
 * threads.
 */
internal class Tokenizer(private val rules: TokenizerSpec, private val vocabulary: Vocabulary) {
    private val raw = AddedTokens(rules.addedTokens.filter { !it.normalized }.map { it to codes(it) })
    private val normal = AddedTokens(rules.addedTokens.filter { it.normalized }.map { it to normalizedCodes(it) })

    fun tokenize(text: String): Tokens = Run(CodePoints(text)).tokens()

    private fun codes(token: AddedToken): IntArray = CodePoints(token.content).run { values.copyOf(size) }

    private fun normalizedCodes(token: AddedToken): IntArray {
        val codes = codes(token)
        val normalized = Normalized(codes.size)
        Normalizer(rules, normalized).normalize(codes, 0, codes.size)
        return normalized.codes.run { values.copyOf(size) }
    }

    private inner class Run(private val text: CodePoints) {
        private val ids = IntBuffer(text.size / 3 + 8)
        private val starts = IntBuffer(text.size / 3 + 8)
        private val ends = IntBuffer(text.size / 3 + 8)
        private val words = IntBuffer(text.size / 3 + 8)
        private val normalized = Normalized(text.size + 8)
        private val normalizer = Normalizer(rules, normalized)
        private var word = 0

        fun tokens(): Tokens {
            raw.forEachPart(text.values, 0, text.size) { token, start, end ->
                if (token == null) between(start, end) else whole(token, start, end)
            }
            return Tokens(text, trimmed(ids), trimmed(starts), trimmed(ends), trimmed(words))
        }

        /** An added token, which is a word by itself. */
        private fun whole(token: AddedToken, start: Int, end: Int) {
            add(token.id, start, end)
            word++
        }

        /** A part of the text without tokens that are looked for before it is normalized. */
        private fun between(from: Int, to: Int) {
            normalizer.normalize(text.values, from, to)
            if (normal.isEmpty) return words(0, normalized.codes.size)
            normal.forEachPart(normalized.codes.values, 0, normalized.codes.size) { token, start, end ->
                if (token == null) words(start, end)
                else whole(token, normalized.sources[start], normalized.sources[end - 1] + 1)
            }
        }

        /** A part of the normalized text without added tokens. */
        private fun words(from: Int, to: Int) {
            val codes = normalized.codes
            var start = from
            for (index in from until to) {
                when (UnicodeTables.category(UnicodeTables.flags(codes[index]))) {
                    UnicodeTables.SPACE -> word(start, index)
                    UnicodeTables.PUNCTUATION -> {
                        word(start, index)
                        word(index, index + 1)
                    }
                    else -> continue
                }
                start = index + 1
            }
            word(start, to)
        }

        /** WordPiece; a word without a part that is a token is unknown as a whole. */
        private fun word(from: Int, to: Int) {
            if (from == to) return
            val before = ids.size
            var at = if (to - from > rules.longestWord) NONE else from
            while (at != NONE && at < to) at = piece(from, at, to)
            if (at == NONE) {
                for (buffer in arrayOf(ids, starts, ends, words)) buffer.truncate(before)
                add(rules.unk.id, normalized.sources[from], normalized.sources[to - 1] + 1)
            }
            word++
        }

        /** Add the longest token that starts at [at]; gives its end, or [NONE] when there is none. */
        private fun piece(from: Int, at: Int, to: Int): Int {
            var node = if (at == from) Vocabulary.ROOT else vocabulary.continuation
            var id = NONE
            var end = NONE
            var next = at
            while (next < to && node != Vocabulary.NONE) {
                node = vocabulary.child(node, normalized.codes[next++])
                if (node != Vocabulary.NONE && vocabulary.idAt(node) != Vocabulary.NONE) {
                    id = vocabulary.idAt(node)
                    end = next
                }
            }
            if (end != NONE) add(id, normalized.sources[at], normalized.sources[end - 1] + 1)
            return end
        }

        private fun add(id: Int, start: Int, end: Int) {
            ids.add(id)
            starts.add(start)
            ends.add(end)
            words.add(word)
        }

        private fun trimmed(buffer: IntBuffer): IntArray = buffer.values.copyOf(buffer.size)
    }

    private companion object {
        const val NONE = -1
    }
}
