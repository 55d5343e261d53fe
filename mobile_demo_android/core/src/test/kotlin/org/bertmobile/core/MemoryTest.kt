package org.bertmobile.core

import java.io.File
import java.nio.file.Path
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

class MemoryTest {
    @TempDir
    lateinit var temporary: Path

    private val model get() = temporary.resolve("model.onnx").toFile().apply { writeBytes(ByteArray(3_000_000)) }

    @Test
    fun `a model larger than what is free is refused with both sizes`() {
        val failure = assertThrows(EngineException::class.java) { requireMemoryFor(model, available = 2_999_999) }
        assertTrue("model.onnx: it needs 3 MB and 2 MB are free" in failure.message!!, failure.message)
    }

    @Test
    fun `a model that fits, or may, is not refused`() {
        requireMemoryFor(model, available = 3_000_000)
        requireMemoryFor(model, available = null)
        requireMemoryFor(model)
    }

    @Test
    fun `what is free is read as Linux spells it`() {
        assertEquals(2_048_000L, available("MemTotal:  9 kB\nMemAvailable:       2000 kB\n"))
        assertEquals(null, available("MemTotal: 9 kB\n"))
        assertEquals(null, availableMemory(File(temporary.toFile(), "nothing")))
    }

    @Test
    fun `an array that does not fit is an error in words`() {
        val failure = assertThrows(EngineException::class.java) {
            withMemory("hold it all") { List(Int.MAX_VALUE) { LongArray(1 shl 20) }.size }
        }
        assertTrue("no memory to hold it all" in failure.message!!, failure.message)
    }

    private fun available(text: String): Long? {
        val meminfo = temporary.resolve("meminfo").toFile()
        meminfo.writeText(text)
        return availableMemory(meminfo)
    }
}
