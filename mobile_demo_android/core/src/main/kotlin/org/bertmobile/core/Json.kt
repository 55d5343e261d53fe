package org.bertmobile.core

/** A text is not JSON; [position] counts UTF-16 units from 0. */
class JsonException(message: String, val position: Int) : BertMobileException("$message at position $position")

/**
 * Reads JSON (RFC 8259) into maps, lists, strings, booleans, nulls, [Long] and [Double].
 *
 * Strict: one document, no comments, no NaN, no name twice in an object. Android has `org.json` and the JVM has not,
 * and it would accept more.
 */
fun parseJson(text: String): Any? = JsonReader(text).document()

private const val DEEPEST = 100

private class JsonReader(private val text: String) {
    private var at = 0

    fun document(): Any? {
        val value = value(0)
        skipSpace()
        if (at < text.length) fail("there is more after the end")
        return value
    }

    private fun value(depth: Int): Any? {
        if (depth > DEEPEST) fail("nested too deeply")
        skipSpace()
        return when (val first = peek()) {
            '{' -> members(depth)
            '[' -> elements(depth)
            '"' -> string()
            't' -> literal("true", true)
            'f' -> literal("false", false)
            'n' -> literal("null", null)
            else -> if (first == '-' || first in '0'..'9') number() else fail("no value")
        }
    }

    private fun members(depth: Int): Map<String, Any?> {
        val members = LinkedHashMap<String, Any?>()
        sequence('}') {
            if (peek() != '"') fail("no name")
            val start = at
            val name = string()
            if (name in members) {
                at = start
                fail("the name \"$name\" is there twice")
            }
            skipSpace()
            expect(':')
            members[name] = value(depth + 1)
        }
        return members
    }

    private fun elements(depth: Int): List<Any?> {
        val elements = ArrayList<Any?>()
        sequence(']') { elements.add(value(depth + 1)) }
        return elements
    }

    /** What stands between brackets, with commas between; [one] reads one of them. */
    private inline fun sequence(end: Char, one: () -> Unit) {
        at++
        skipSpace()
        if (peek() == end) {
            at++
            return
        }
        while (true) {
            skipSpace()
            one()
            skipSpace()
            if (peek() == end) break
            expect(',')
        }
        at++
    }

    private fun string(): String {
        at++
        val start = at
        while (peek() != '"' && peek() != '\\') plain()
        if (peek() == '"') return text.substring(start, at++)
        val unescaped = StringBuilder().append(text, start, at)
        while (peek() != '"') unescaped.append(if (peek() == '\\') escape() else plain())
        at++
        return unescaped.toString()
    }

    private fun plain(): Char {
        if (peek() < ' ') fail("no end of a string, or a control character in it")
        return text[at++]
    }

    private fun escape(): Char {
        at++
        val kind = peek()
        at++
        return when (kind) {
            '"', '\\', '/' -> kind
            'b' -> '\b'
            'f' -> '\u000c'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> (0 until 4).fold(0) { code, _ -> code * 16 + hexDigit() }.toChar()
            else -> fail("no such escape")
        }
    }

    private fun hexDigit(): Int {
        val digit = when (val character = peek()) {
            in '0'..'9' -> character - '0'
            in 'a'..'f' -> character - 'a' + 10
            in 'A'..'F' -> character - 'A' + 10
            else -> fail("no hexadecimal digit")
        }
        at++
        return digit
    }

    private fun number(): Number {
        val start = at
        if (peek() == '-') at++
        if (peek() == '0') at++ else digits()
        var whole = true
        if (peek() == '.') {
            whole = false
            at++
            digits()
        }
        if (peek() == 'e' || peek() == 'E') {
            whole = false
            at++
            if (peek() == '+' || peek() == '-') at++
            digits()
        }
        val spelled = text.substring(start, at)
        // Whole numbers that no Long holds are numbers all the same.
        return (if (whole) spelled.toLongOrNull() else null) ?: spelled.toDouble()
    }

    private fun digits() {
        if (peek() !in '0'..'9') fail("no digit")
        while (peek() in '0'..'9') at++
    }

    private fun <T> literal(spelled: String, value: T): T {
        if (!text.startsWith(spelled, at)) fail("no value")
        at += spelled.length
        return value
    }

    private fun expect(character: Char) {
        if (peek() != character) fail("no '$character'")
        at++
    }

    private fun skipSpace() {
        while (at < text.length && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t')) at++
    }

    /** The next character; NUL, which JSON never holds as such, at the end. */
    private fun peek(): Char = if (at < text.length) text[at] else '\u0000'

    private fun fail(message: String): Nothing = throw JsonException(message, at)
}
