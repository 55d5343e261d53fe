package org.bertmobile.core

/** A text as code points, which is how tokenizers count; [utf16] leads back to Kotlin's own count. */
internal class CodePoints(val text: String) {
    /** Longer than [size] where the text has code points of two units. */
    val values = IntArray(text.length)
    val size: Int

    // Of most texts both counts are the same.
    private val starts: IntArray?

    init {
        var count = 0
        var at = 0
        var starts: IntArray? = null
        while (at < text.length) {
            val unit = text[at].code
            if (unit and SURROGATES != HIGH) {
                values[count] = unit
                if (starts != null) starts[count] = at
                at++
            } else {
                val low = if (unit < LOW && at + 1 < text.length) text[at + 1].code else 0
                if (low and LOWER_HALF != LOW) throw UsageException(LONE_SURROGATES)
                if (starts == null) starts = IntArray(text.length + 1) { it }
                starts[count] = at
                values[count] = 0x10000 + (unit - HIGH shl 10) + (low - LOW)
                at += 2
            }
            count++
        }
        if (starts != null) starts[count] = at
        size = count
        this.starts = starts
    }

    /** UTF-16 index of a code point, or of the end. */
    fun utf16(index: Int): Int = starts?.get(index) ?: index

    /** The text between two code points. */
    fun substring(start: Int, end: Int): String = text.substring(utf16(start), utf16(end))

    private companion object {
        const val HIGH = 0xD800
        const val LOW = 0xDC00
        const val SURROGATES = 0xF800
        const val LOWER_HALF = 0xFC00
        const val LONE_SURROGATES = "a text holds lone surrogates, which are not valid Unicode; remove them"
    }
}

/** Number of code points of a text without lone surrogates. */
internal fun codePointCount(text: String): Int = text.count { it.code and 0xFC00 != 0xDC00 }
