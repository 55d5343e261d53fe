package org.bertmobile.demo.benchmark

import java.io.File
import java.nio.file.Path
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.condition.EnabledOnOs
import org.junit.jupiter.api.condition.OS
import org.junit.jupiter.api.io.TempDir

class ProbesTest {
    @TempDir
    lateinit var temporary: Path

    @Test
    fun `the most memory is read from a status`() {
        val status = File(temporary.toFile(), "status")
        status.writeText("Name:\tapp\nVmHWM:\t   12345 kB\nVmRSS:\t 1 kB\n")
        assertEquals(12_345L * 1_024, peakBytes(status))
        status.writeText("Name:\tapp\n")
        assertNull(peakBytes(status))
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    fun `this process has some`() = assertTrue(peakBytes(File("/proc/self/status"))!! > 1_000_000)

    @Test
    fun `libraries of the phone's best ABI are counted`() {
        val whole = apk("base.apk", "lib/arm64-v8a/libLiteRt.so" to 30, "lib/x86_64/libLiteRt.so" to 40, "LiteRt" to 5)
        val split = apk("split.apk", "lib/arm64-v8a/liblitert_jni.so" to 7, "lib/arm64-v8a/libonnxruntime.so" to 100)
        assertEquals(37, libraryBytes(listOf(whole, split), listOf("arm64-v8a", "x86_64"), "litert"))
        assertEquals(40, libraryBytes(listOf(whole, split), listOf("x86_64"), "litert"))
        assertEquals(37, libraryBytes(listOf(whole, split), listOf("armeabi-v7a", "arm64-v8a"), "litert"))
        assertNull(libraryBytes(listOf(whole, split), listOf("x86_64"), "onnxruntime"))
    }

    private fun apk(name: String, vararg entries: Pair<String, Int>): File {
        val file = File(temporary.toFile(), name)
        ZipOutputStream(file.outputStream()).use { zip ->
            for ((entry, size) in entries) {
                zip.putNextEntry(ZipEntry(entry))
                zip.write(ByteArray(size))
            }
        }
        return file
    }
}
