package org.bertmobile.core

/** A list of numbers that grows. */
internal class IntBuffer(capacity: Int) {
    var values = IntArray(capacity)
        private set
    var size = 0
        private set

    operator fun get(index: Int): Int = values[index]

    fun add(value: Int) {
        if (size == values.size) values = values.copyOf(2 * size + 8)
        values[size++] = value
    }

    fun truncate(size: Int) {
        this.size = size
    }
}

/** Code points, and for each the index of that code point of the original text which it stands for. */
internal class Normalized(capacity: Int) {
    val codes = IntBuffer(capacity)
    val sources = IntBuffer(capacity)

    fun add(code: Int, source: Int) {
        codes.add(code)
        sources.add(source)
    }

    fun clear() {
        codes.truncate(0)
        sources.truncate(0)
    }
}

/**
 * `BertNormalizer` of Hugging Face's tokenizers for one part of a text: control characters dropped, white space made
 * plain, Chinese characters set apart, accents stripped, letters made small.
 */
internal class Normalizer(private val rules: TokenizerSpec, private val out: Normalized) {
    private val marks = Marks()

    /** Put what becomes of `codes[from..<to]` into [out]. */
    fun normalize(codes: IntArray, from: Int, to: Int) {
        out.clear()
        for (index in from until to) {
            val code = codes[index]
            val flags = UnicodeTables.flags(code)
            when (UnicodeTables.category(flags)) {
                UnicodeTables.DROPPED -> Unit
                UnicodeTables.SPACE -> decompose(SPACE, 0, index)
                UnicodeTables.CHINESE -> chinese(code, flags, index)
                else -> decompose(code, flags, index)
            }
        }
        flushMarks()
    }

    private fun chinese(code: Int, flags: Int, source: Int) {
        if (rules.tokenizeChineseChars) decompose(SPACE, 0, source)
        decompose(code, flags, source)
        if (rules.tokenizeChineseChars) decompose(SPACE, 0, source)
    }

    private fun decompose(code: Int, flags: Int, source: Int) {
        when {
            !rules.stripAccents -> lower(code, flags, source)
            UnicodeTables.isNormalized(flags) -> starter(code, flags, source)
            UnicodeTables.isComposed(flags) -> {
                val parts = UnicodeTables.parts(code)
                for (number in parts.indices) part(parts[number], if (number == 0) source else Marks.NONE)
            }
            else -> part(code, source)
        }
    }

    /** A part of a decomposed code point; [source] is [Marks.NONE] for all but its first. */
    private fun part(code: Int, source: Int) {
        val rank = UnicodeTables.combiningClass(code)
        if (rank == 0) starter(code, UnicodeTables.flags(code), source) else marks.add(code, rank, source)
    }

    private fun starter(code: Int, flags: Int, source: Int) {
        flushMarks()
        if (source != Marks.NONE) marks.source = source
        strip(code, flags, marks.source)
    }

    /** Sort the marks since the last letter. Their sources stay in the order of the text, as in the library. */
    private fun flushMarks() {
        if (marks.size == 0) return
        marks.forEachSorted { code, source -> strip(code, UnicodeTables.flags(code), source) }
    }

    private fun strip(code: Int, flags: Int, source: Int) {
        if (UnicodeTables.category(flags) != UnicodeTables.MARK) lower(code, flags, source)
    }

    private fun lower(code: Int, flags: Int, source: Int) {
        if (!rules.lowerCase || !UnicodeTables.hasLower(flags)) {
            out.add(code, source)
        } else {
            for (small in UnicodeTables.lower(code)) out.add(small, source)
        }
    }

    private companion object {
        const val SPACE = ' '.code
    }
}

/** Marks that wait to be sorted by their combining classes. */
private class Marks {
    private val codes = IntBuffer(8)
    private val ranks = IntBuffer(8)
    private val sources = IntBuffer(8)

    /** The source of what came before the marks. */
    var source = 0

    val size: Int get() = codes.size

    /** Add a mark; [source] is [NONE] for one that is only a part of the code point before it. */
    fun add(code: Int, rank: Int, source: Int) {
        codes.add(code)
        ranks.add(rank)
        sources.add(source)
    }

    fun clear() {
        codes.truncate(0)
        ranks.truncate(0)
        sources.truncate(0)
    }

    inline fun forEachSorted(each: (code: Int, source: Int) -> Unit) {
        var next = 0
        for (place in sorted()) {
            val index = place.toInt()
            // The mark that begins a code point takes the place of the next one that does, whichever that is.
            if (sources[index] != NONE) {
                while (sources[next] == NONE) next++
                source = sources[next++]
            }
            each(codes[index], source)
        }
        clear()
    }

    /** Indices by rank; marks of one rank stay in order. */
    private fun sorted(): LongArray =
        LongArray(size) { ranks[it].toLong() shl Int.SIZE_BITS or it.toLong() }.also(LongArray::sort)

    companion object {
        const val NONE = -1
    }
}
