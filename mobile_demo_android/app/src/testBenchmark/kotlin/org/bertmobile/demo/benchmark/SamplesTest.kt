package org.bertmobile.demo.benchmark

import java.io.ByteArrayOutputStream
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.file.Path
import org.bertmobile.core.FloatTensor
import org.bertmobile.core.UsageException
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** `tests/mobile_demo_android/test_benchmark_build.py` compares with what Python reads and writes. */
class SamplesTest {
    @TempDir
    lateinit var temporary: Path

    private val file get() = File(temporary.toFile(), "32.cases")

    @Test
    fun `int32 and int64 are read`() {
        val samples = read {
            int(1).name("main").int(2)
            name("a").int(6).int(2).long(1).long(2).long(8).int(-3).int(4)
            name("ü").int(7).int(0).long(8).long(5)
        }
        assertEquals("main", samples.single().signature)
        val tensors = samples.single().tensors
        assertArrayEquals(intArrayOf(1, 2), tensors.getValue("a").shape)
        assertArrayEquals(intArrayOf(-3, 4), tensors.getValue("a").values)
        assertArrayEquals(intArrayOf(5), tensors.getValue("ü").values)
    }

    @Test
    fun `what is no such file is refused, and wants no memory`() {
        refused("is no file of tensors") { int(0).int(0) }
        refused("is no file of tensors") { int(-1) }
        refused("is no file of tensors") { int(Int.MAX_VALUE) }
        refused("is no file of tensors") { int(1).int(Int.MAX_VALUE) }
        refused("is no file of tensors") { int(1).int(1).bytes(byteArrayOf(-1)).int(0) }
        refused("is no file of tensors") { int(1).name("main").int(1).name("a").int(9).int(0).long(0) }
        refused("is no file of tensors") { int(1).name("main").int(1).name("a").int(6).int(9) }
        refused("is no file of tensors") {
            int(1).name("main").int(1).name("a").int(6).int(2).long(1L shl 31).long(1L shl 33).long(0)
        }
        refused("is no file of tensors") { int(1).name("main").int(1).name("a").int(6).int(1).long(-1).long(-4) }
        refused("is no file of tensors") { int(1).name("main").int(1).name("a").int(6).int(1).long(2).long(4).int(0) }
    }

    @Test
    fun `a file of another kind is refused`() {
        file.writeText("no file of tensors")
        refusal("is no file of tensors")
        file.writeText("")
        refusal("is no file of tensors")
    }

    @Test
    fun `every part of a file that was cut off is refused`() {
        val whole = bytes { int(1).name("main").int(1).name("a").int(7).int(1).long(2).long(16).long(1).long(2) }
        for (size in whole.indices) {
            file.writeBytes(whole.copyOf(size))
            refusal("is no file of tensors")
        }
    }

    @Test
    fun `numbers that are no ids are refused`() {
        refused("has float32 for a") { int(1).name("main").int(1).name("a").int(1).int(0).long(4).int(0) }
        refused("has 2147483648 for a") { int(1).name("main").int(1).name("a").int(7).int(0).long(8).long(1L shl 31) }
    }

    @Test
    fun `outputs are computed one after the other, while they are written`() {
        var made = 0
        val tensor = FloatTensor(intArrayOf(70_000), FloatArray(70_000))
        val outputs = generateSequence { Sample("s", mapOf("o" to tensor)) }.take(3).onEach { made++ }
        assertEquals(0, made)
        writeOutputs(file, 3, outputs)
        assertEquals(3, made)
        assertTrue(file.length() > 3 * 4 * 70_000)
        assertThrows(IllegalStateException::class.java) { writeOutputs(file, 4, outputs) }
    }

    private class Writer {
        val bytes = ByteArrayOutputStream().apply { write("BMC1".encodeToByteArray()) }

        fun bytes(values: ByteArray) = apply { bytes.write(values) }

        fun int(value: Int) = bytes(little(4).putInt(value).array())

        fun long(value: Long) = bytes(little(8).putLong(value).array())

        fun name(text: String) = text.encodeToByteArray().let { int(it.size).bytes(it) }

        private fun little(size: Int) = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN)
    }

    private fun bytes(write: Writer.() -> Unit) = Writer().apply(write).bytes.toByteArray()

    private fun read(write: Writer.() -> Unit) = readInputs(file.apply { writeBytes(bytes(write)) })

    private fun refused(message: String, write: Writer.() -> Unit) {
        file.writeBytes(bytes(write))
        refusal(message)
    }

    private fun refusal(message: String) {
        val failure = assertThrows(UsageException::class.java) { readInputs(file) }
        assertTrue("32.cases $message" in failure.message!!, failure.message)
    }
}
