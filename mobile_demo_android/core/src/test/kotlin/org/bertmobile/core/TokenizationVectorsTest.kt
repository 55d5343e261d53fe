package org.bertmobile.core

import java.time.Duration
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTimeoutPreemptively
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.function.ThrowingSupplier

class TokenizationVectorsTest {
    @TestFactory
    fun `texts become the tokens of the reference`() = Vectors.tests("texts") { case ->
        val tokens = Vectors.tokenizer(case).tokenize(case.string("text"))
        assertArrayEquals(case.ints("ids"), tokens.ids)
        assertArrayEquals(case.ints("offsets"), tokens.starts.zip(tokens.ends).flatMap { it.toList() }.toIntArray())
        assertArrayEquals(case.ints("words"), tokens.words)
    }

    @TestFactory
    fun `texts and pairs become the inputs of the Python runtime`() = Vectors.tests("inputs") { case ->
        val encoded = Vectors.tokenization(case).encode(case.string("text"), case["pair"] as String?)
        assertEncoded(case.case("encoded"), encoded)
    }

    @TestFactory
    fun `long contexts become the windows of the Python runtime`() = Vectors.tests("windows") { case ->
        val tokenization = Vectors.tokenization(case)
        val windows = { tokenization.windows(case.string("question"), case.string("context"), case.int("stride")) }
        if (case["refused"] == true) {
            assertThrows(UsageException::class.java) { windows() }
        } else {
            val expected = case.list("windows").map { Case(it as Map<*, *>) }
            val found = windows()
            assertEquals(expected.size, found.size)
            for ((index, window) in found.withIndex()) assertEncoded(expected[index], window)
        }
    }

    @TestFactory
    fun `lone surrogates are refused`() = Vectors.tests("refused") { case ->
        assertThrows(UsageException::class.java) { Vectors.tokenizer(case).tokenize(case.string("text")) }
    }

    @TestFactory
    fun `token ids become the text of the reference`() = Vectors.tests("decoded") { case ->
        val lengths = Case(mapOf("rules" to case["rules"], "lengths" to listOf(8L)))
        val text = Vectors.tokenization(lengths).decode(case.ints("ids"), case["skip_special_tokens"] as Boolean)
        assertEquals(case.string("text"), text)
    }

    @Test
    fun `offsets are also given in units of a Kotlin string`() {
        val case = Case(mapOf("rules" to "uncased", "lengths" to listOf(32L)))
        val text = "\uD83D\uDC4Dthe \uD835\uDD18 keeper"
        val encoded = Vectors.tokenization(case).encode(text)
        val spans = (0 until encoded.size).filter { !encoded.isSpecial(it) }.map(encoded::span)
        assertEquals("keeper", text.substring(spans.last().utf16Start, spans.last().utf16End))
        assertEquals(Span(7, 13, 9, 15), spans.last())
    }

    @Test
    fun `a text of nothing but marks takes no longer than its length`() {
        val case = Case(mapOf("rules" to "cased-without-accents"))
        // Marks that are to be sorted and that stay, the last of them first.
        val text = "\u302e".repeat(200_000) + "\uD834\uDD65".repeat(200_000)
        val tokenize = ThrowingSupplier { Vectors.tokenizer(case).tokenize(text) }
        val tokens = assertTimeoutPreemptively(Duration.ofSeconds(20), tokenize)
        assertEquals(1, tokens.size)
    }

    private fun assertEncoded(expected: Case, encoded: Encoded) {
        val inputs = expected.map("inputs")
        assertEquals(inputs.keys, encoded.inputs.keys)
        for ((name, values) in inputs) {
            assertArrayEquals(ints(values as List<*>), encoded.inputs.getValue(name as String).values)
        }
        val offsets = (0 until encoded.size).flatMap { listOf(encoded.start(it), encoded.end(it)) }
        assertArrayEquals(expected.ints("offsets"), offsets.toIntArray())
        assertArrayEquals(expected.ints("special"), IntArray(encoded.size) { if (encoded.isSpecial(it)) 1 else 0 })
        assertArrayEquals(expected.ints("texts"), IntArray(encoded.size, encoded::textOf))
        assertArrayEquals(expected.ints("words"), IntArray(encoded.size, encoded::wordOf))
        assertEquals(expected.int("dropped"), encoded.dropped)
    }
}
