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
 * BERT's tokenizer as Hugging Face's `tokenizers` has it: special tokens kept whole, the rest of the text normalized,
 * cut at white space and punctuation, and each word split into the longest tokens there are. Safe to use from several
 * threads.
 */
internal class Tokenizer(private val rules: TokenizerSpec, private val vocabulary: Vocabulary) {
    // The longest first, because one may begin with another.
    private val specials =
        rules.specialTokens.map { Special(CodePoints(it.token), it.id) }.sortedByDescending { it.codes.size }
    private val specialStarts = specials.map { it.codes.values[0] }.distinct().toIntArray()

    fun tokenize(text: String): Tokens = Run(CodePoints(text)).tokens()

    private class Special(val codes: CodePoints, val id: Int)

    private inner class Run(private val text: CodePoints) {
        private val ids = IntBuffer(text.size / 3 + 8)
        private val starts = IntBuffer(text.size / 3 + 8)
        private val ends = IntBuffer(text.size / 3 + 8)
        private val words = IntBuffer(text.size / 3 + 8)
        private val normalized = Normalized(text.size + 8)
        private val normalizer = Normalizer(rules, normalized)
        private var word = 0

        fun tokens(): Tokens {
            var from = 0
            var at = 0
            while (at < text.size) {
                val special = if (text.values[at] in specialStarts) specialAt(at) else null
                if (special == null) {
                    at++
                    continue
                }
                between(from, at)
                add(special.id, at, at + special.codes.size)
                word++
                at += special.codes.size
                from = at
            }
            between(from, at)
            return Tokens(text, trimmed(ids), trimmed(starts), trimmed(ends), trimmed(words))
        }

        private fun specialAt(at: Int): Special? = specials.firstOrNull { special ->
            val codes = special.codes
            at + codes.size <= text.size && (0 until codes.size).all { codes.values[it] == text.values[at + it] }
        }

        /** A part of the text without special tokens. */
        private fun between(from: Int, to: Int) {
            if (from == to) return
            normalizer.normalize(text.values, from, to)
            val codes = normalized.codes
            var start = 0
            for (index in 0 until codes.size) {
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
            word(start, codes.size)
        }

        /** WordPiece; a word without a part that is a token is unknown as a whole. */
        private fun word(from: Int, to: Int) {
            if (from == to) return
            val before = ids.size
            var at = if (to - from > LONGEST_WORD) NONE else from
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
        /** A longer word is unknown. */
        const val LONGEST_WORD = 100
        const val NONE = -1
    }
}
