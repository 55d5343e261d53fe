package org.bertmobile.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

class JsonTest {
    @Test
    fun `every kind of value is read`() {
        val text = """ {"a": [1, -2.5, 1e3, 0, true, false, null, {}], "b": "\"\\\/\b\f\n\r\tA\u00e9\ud83d\udc4d é"} """
        val expected = mapOf(
            "a" to listOf(1L, -2.5, 1000.0, 0L, true, false, null, emptyMap<String, Any?>()),
            "b" to "\"\\/\b\u000c\n\r\tAé\uD83D\uDC4D é",
        )
        assertEquals(expected, parseJson(text))
    }

    @Test
    fun `members keep their order`() {
        assertEquals(listOf("z", "a", "m"), (parseJson("""{"z":1,"a":2,"m":3}""") as Map<*, *>).keys.toList())
    }

    @Test
    fun `a whole number beyond 64 bits is a number all the same`() {
        assertEquals(1e20, parseJson("100000000000000000000"))
    }

    @TestFactory
    fun `what is not JSON is refused`(): List<DynamicTest> = listOf(
        "", " ", "{", "[", "[1", "[1,", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{'a':1}",
        "01", "1.", ".5", "+1", "-", "1e", "NaN", "Infinity", "nul", "True", "1 2", "[] []", "\uFEFF1", "// c\n1",
        "\"", "\"\\x\"", "\"\\u12g4\"", "\"\n\"", "{\"a\":1,\"a\":2}", "[".repeat(200) + "]".repeat(200),
    ).map { text ->
        DynamicTest.dynamicTest("<${text.take(20)}>") { assertThrows(JsonException::class.java) { parseJson(text) } }
    }
}
