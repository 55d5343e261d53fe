package org.bertmobile.core

/**
 * What Hugging Face's tokenizers do to each code point.
 *
 * The tables are generated from the library itself, because those of a phone are of whichever version of Unicode its
 * system has.
 */
internal object UnicodeTables {
    /** Lost before a text is cut into words: control characters and what nobody sees. */
    const val DROPPED = 1

    /** White space of any kind. */
    const val SPACE = 2

    /** A character that is a word where `tokenize_chinese_chars` is set. */
    const val CHINESE = 3

    /** A mark that goes with the accents. */
    const val MARK = 4

    /** A word of its own. */
    const val PUNCTUATION = 5
    private const val CATEGORY = 7

    private const val HAS_LOWER = 8
    private const val IS_COMPOSED = 16
    private const val COMBINES = 32

    private const val PAGE_BITS = 8
    private const val PAGE = 1 shl PAGE_BITS

    private val noFlags = ByteArray(PAGE)
    private val pages = Array(CODE_POINTS shr PAGE_BITS) { noFlags }
    private val lower: Mapping
    private val decompositions: Mapping
    private val classes: Mapping

    // First and last of each range, by turns.
    private val words: IntArray

    init {
        val sections = sections()
        forEachRange(sections.getValue("categories")) { codes, name -> mark(codes, "-dshmp".indexOf(name)) }
        lower = Mapping(lowerLines(sections.getValue("lower")), HAS_LOWER)
        decompositions = Mapping(sections.getValue("decompositions").map(::numbers), IS_COMPOSED)
        val ranks = ArrayList<IntArray>()
        forEachRange(sections.getValue("classes")) { codes, rank ->
            for (code in codes) ranks.add(intArrayOf(code, rank.toInt(HEX)))
        }
        classes = Mapping(ranks, COMBINES)
        mark(Hangul.FIRST..Hangul.LAST, IS_COMPOSED)
        words = sections.getValue("words").flatMap { numbers(it).asList() }.toIntArray()
    }

    /** The properties of a code point, for the functions below. */
    fun flags(code: Int): Int = pages[code shr PAGE_BITS][code and PAGE - 1].toInt()

    fun category(flags: Int): Int = flags and CATEGORY

    fun hasLower(flags: Int): Boolean = flags and HAS_LOWER != 0

    /** Whether a code point is decomposed, or is sorted among its neighbours: most are neither. */
    fun isNormalized(flags: Int): Boolean = flags and (IS_COMPOSED or COMBINES) == 0

    /** The small letters of a code point of which [hasLower] is true. */
    fun lower(code: Int): IntArray = lower[code]

    /** A text in small letters, each by itself: a sigma at the end of a word becomes one of the middle. */
    fun lower(text: String): String {
        val codes = CodePoints(text)
        val small = StringBuilder(text.length)
        for (index in 0 until codes.size) {
            val code = codes.values[index]
            if (hasLower(flags(code))) lower(code).forEach(small::appendCodePoint) else small.appendCodePoint(code)
        }
        return small.toString()
    }

    fun isComposed(flags: Int): Boolean = flags and IS_COMPOSED != 0

    /** What a code point of which [isComposed] is true is made of, in the end. */
    fun parts(code: Int): IntArray =
        if (code in Hangul.FIRST..Hangul.LAST) Hangul.parts(code) else decompositions[code]

    /** By which marks on one letter are sorted: 0 for what is no such mark. */
    fun combiningClass(code: Int): Int = if (flags(code) and COMBINES == 0) 0 else classes[code][0]

    /** Whether a code point is part of a word where an added token has to be a word of its own. */
    fun isWord(code: Int): Boolean {
        val place = words.binarySearch(code)
        return place >= 0 || -(place + 1) % 2 == 1
    }

    /** Whether a code point is white space, some of which is [DROPPED] later. */
    fun isWhiteSpace(code: Int): Boolean = category(flags(code)) == SPACE || code in DROPPED_SPACE

    /** Whether a text has neither control characters nor white space but the plain kind. */
    fun isPrintable(text: String): Boolean = text.all { it == ' ' || category(flags(it.code)) !in DROPPED..SPACE }

    private fun mark(codes: IntRange, flag: Int) {
        for (code in codes) {
            val number = code shr PAGE_BITS
            if (pages[number] === noFlags) pages[number] = ByteArray(PAGE)
            val page = pages[number]
            val place = code and PAGE - 1
            page[place] = (page[place].toInt() or flag).toByte()
        }
    }

    private fun sections(): Map<String, List<String>> {
        val stream = checkNotNull(UnicodeTables::class.java.getResourceAsStream("unicode.txt")) {
            "unicode.txt is not beside the classes; put the resources of :core into the app"
        }
        val sections = HashMap<String, MutableList<String>>()
        var current = ArrayList<String>()
        stream.bufferedReader().forEachLine { line ->
            when {
                line.isEmpty() || line[0] == '#' -> Unit
                line[0] == '[' -> {
                    current = ArrayList()
                    sections[line.substring(1, line.length - 1)] = current
                }
                else -> current.add(line)
            }
        }
        return sections
    }

    /** Lines of first, last and value. */
    private inline fun forEachRange(lines: List<String>, each: (IntRange, String) -> Unit) {
        for (line in lines) {
            val (first, last, value) = line.split(' ')
            each(first.toInt(HEX)..last.toInt(HEX), value)
        }
    }

    /** Lines of first, last, step and what the first becomes, as code points and what each becomes. */
    private fun lowerLines(lines: List<String>): List<IntArray> = lines.flatMap { line ->
        val numbers = numbers(line)
        (numbers[0]..numbers[1] step numbers[2]).map { code ->
            val new = numbers.copyOfRange(2, numbers.size)
            new[0] = code
            new[1] = numbers[3] + code - numbers[0]
            new
        }
    }

    private fun numbers(line: String): IntArray = line.split(' ').map { it.toInt(HEX) }.toIntArray()

    /** Code points to what becomes of them; an entry is a code point followed by that. */
    private class Mapping(entries: List<IntArray>, flag: Int) {
        private val codes = IntArray(entries.size) { entries[it][0] }
        private val values = Array(entries.size) { entries[it].copyOfRange(1, entries[it].size) }

        // Europe's letters are looked up directly.
        private val near = Array(NEAR) { code -> values.getOrNull(codes.binarySearch(code)) }

        init {
            for (code in codes) mark(code..code, flag)
        }

        operator fun get(code: Int): IntArray =
            if (code < NEAR) checkNotNull(near[code]) else values[codes.binarySearch(code)]
    }

    private val DROPPED_SPACE = intArrayOf(0x0B, 0x0C, 0x85)
    private const val NEAR = 0x600
    private const val HEX = 16
    private const val CODE_POINTS = 0x110000
}

/** Syllables, which are made of two or three letters by a rule instead of a table. */
private object Hangul {
    const val FIRST = 0xAC00
    const val LAST = 0xD7A3
    private const val LEAD = 0x1100
    private const val VOWEL = 0x1161
    private const val TAIL = 0x11A7
    private const val TAILS = 28
    private const val OF_ONE_LEAD = 21 * TAILS

    fun parts(code: Int): IntArray {
        val index = code - FIRST
        val lead = LEAD + index / OF_ONE_LEAD
        val vowel = VOWEL + index % OF_ONE_LEAD / TAILS
        val tail = index % TAILS
        return if (tail == 0) intArrayOf(lead, vowel) else intArrayOf(lead, vowel, TAIL + tail)
    }
}
