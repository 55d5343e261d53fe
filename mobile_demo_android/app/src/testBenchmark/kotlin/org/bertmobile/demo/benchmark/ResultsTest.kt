package org.bertmobile.demo.benchmark

import java.io.File
import java.nio.file.Path
import org.bertmobile.core.parseJson
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

class ResultsTest {
    @TempDir
    lateinit var temporary: Path

    private val log = ArrayList<String>()

    @Test
    fun `a result is written whole, into a folder that is made`() {
        val folder = File(temporary.toFile(), "a/b")
        val results = ResultsFolder(folder, log::add)
        assertTrue(results.writable)
        results.finish("{}")
        assertEquals(mapOf("result.json" to "{}"), folder.listFiles()!!.associate { it.name to it.readText() })
        assertTrue(log.isEmpty())
    }

    @Test
    fun `a result that cannot be written is logged in numbered parts`() {
        val file = File(temporary.toFile(), "bertmobile-12").apply { writeText("no folder") }
        val results = ResultsFolder(file, log::add)
        assertFalse(results.writable)
        val document = errorJson("x".repeat(7_000))
        results.finish(document)
        val parts = log.map { Regex("bertmobile-12 (\\d)/3 (.*)").matchEntire(it)!!.destructured }
        assertEquals(listOf("1", "2", "3"), parts.map { it.component1() })
        assertEquals(document, parts.joinToString("") { it.component2() })
    }

    @Test
    fun `a result is ASCII, whatever its words`() {
        val said = "no \"memory\" for\n\\ ü \uD83D\uDE00\u0000"
        val document = errorJson(said)
        assertTrue(document.all { it in ' '..'~' }, document)
        assertEquals(said, (parseJson(document) as Map<*, *>)["error"])
    }

    @Test
    fun `seconds keep their nanoseconds`() {
        val rounds = listOf(doubleArrayOf(0.001234567))
        val result = BundleResult("n", "e", null, null, 1e-9, null, null, null, null, rounds, null)
        val bundles = (parseJson(resultJson(listOf(result))) as Map<*, *>)["bundles"] as List<*>
        val read = bundles.single() as Map<*, *>
        assertEquals(1e-9, read["load_seconds"])
        assertEquals(listOf(listOf(0.001234567)), read["rounds"])
    }
}
