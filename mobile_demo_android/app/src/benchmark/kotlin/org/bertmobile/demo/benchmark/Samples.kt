package org.bertmobile.demo.benchmark

import java.io.BufferedOutputStream
import java.io.File
import java.io.OutputStream
import java.io.RandomAccessFile
import java.nio.BufferUnderflowException
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.channels.FileChannel
import java.nio.charset.CharacterCodingException
import org.bertmobile.core.FloatTensor
import org.bertmobile.core.IntTensor
import org.bertmobile.core.UsageException

/** The tensors of a run by name, and the [signature] of the model that takes or gave them. */
class Sample<T>(val signature: String, val tensors: Map<String, T>)

private val MAGIC = byteArrayOf('B'.code.toByte(), 'M'.code.toByte(), 'C'.code.toByte(), '1'.code.toByte())
private const val FLOAT32 = 1
private const val INT32 = 6
private const val INT64 = 7
private const val LARGEST_RANK = 8

/**
 * Read a file of inputs (docs/device-protocol.md): int32 or int64, which has to fit 32 bits.
 *
 * The file is mapped, so that of a long one only the samples themselves take memory.
 *
 * @throws UsageException it is no such file, was cut off, or holds other numbers.
 * @throws java.io.IOException it cannot be read.
 */
fun readInputs(file: File): List<Sample<IntTensor>> {
    val bytes = RandomAccessFile(file, "r").use { it.channel.map(FileChannel.MapMode.READ_ONLY, 0, it.length()) }
    return SamplesReader(bytes.order(ByteOrder.LITTLE_ENDIAN), file.name).read()
}

/**
 * Write a file of outputs, one sample after the other.
 *
 * @param count of the samples, which stands before them.
 */
fun writeOutputs(file: File, count: Int, samples: Sequence<Sample<FloatTensor>>) {
    BufferedOutputStream(file.outputStream()).use { into ->
        into.write(MAGIC)
        into.uint32(count)
        var written = 0
        for (sample in samples) {
            written++
            into.name(sample.signature)
            into.uint32(sample.tensors.size)
            for ((name, tensor) in sample.tensors) into.tensor(name, tensor)
        }
        check(written == count) { "$written samples, not $count" }
    }
}

private class SamplesReader(private val bytes: ByteBuffer, private val file: String) {
    fun read(): List<Sample<IntTensor>> = try {
        val magic = ByteArray(MAGIC.size).also(bytes::get)
        if (!magic.contentEquals(MAGIC)) damaged()
        List(count()) {
            val signature = name()
            Sample(signature, List(count()) { tensor() }.toMap())
        }.also { if (bytes.hasRemaining()) damaged() }
    } catch (_: BufferUnderflowException) {
        damaged()
    }

    /** A number of things, each of which takes more than a byte: a damaged one must not fill the memory. */
    private fun count(): Int = bytes.int.also { if (it !in 0..bytes.remaining()) damaged() }

    private fun name(): String {
        val encoded = ByteArray(count()).also(bytes::get)
        return try {
            encoded.decodeToString(throwOnInvalidSequence = true)
        } catch (_: CharacterCodingException) {
            damaged()
        }
    }

    private fun tensor(): Pair<String, IntTensor> {
        val name = name()
        val type = bytes.int
        if (type == FLOAT32) throw UsageException("$file has float32 for $name; inputs are whole numbers")
        if (type != INT32 && type != INT64) damaged()
        val rank = bytes.int
        if (rank !in 0..LARGEST_RANK) damaged()
        val shape = LongArray(rank) { bytes.long }
        val size = bytes.long
        val width = if (type == INT64) Long.SIZE_BYTES else Int.SIZE_BYTES
        if (size !in 0..bytes.remaining() || elements(shape) * width != size) damaged()
        val values = IntArray((size / width).toInt()) { if (type == INT64) narrowed(name) else bytes.int }
        return name to IntTensor(IntArray(rank) { shape[it].toInt() }, values)
    }

    /** How many values a shape has, which can be no more than the file has bytes. */
    private fun elements(shape: LongArray): Long {
        if (shape.any { it < 0 || it > Int.MAX_VALUE }) damaged()
        if (shape.any { it == 0L }) return 0
        return shape.fold(1L) { product, side -> (product * side).also { if (it > bytes.remaining()) damaged() } }
    }

    private fun narrowed(name: String): Int {
        val value = bytes.long
        if (value !in Int.MIN_VALUE..Int.MAX_VALUE) {
            throw UsageException("$file has $value for $name, which does not fit 32 bits")
        }
        return value.toInt()
    }

    private fun damaged(): Nothing = throw UsageException("$file is no file of tensors, or was cut off; run again")
}

private fun OutputStream.tensor(name: String, tensor: FloatTensor) {
    name(name)
    uint32(FLOAT32)
    uint32(tensor.shape.size)
    for (side in tensor.shape) int64(side.toLong())
    int64(tensor.values.size.toLong() * Float.SIZE_BYTES)
    val row = littleEndian(minOf(tensor.values.size, ROW) * Float.SIZE_BYTES)
    for (begin in tensor.values.indices step ROW) {
        val end = minOf(begin + ROW, tensor.values.size)
        row.asFloatBuffer().put(tensor.values, begin, end - begin)
        write(row.array(), 0, (end - begin) * Float.SIZE_BYTES)
    }
}

private fun OutputStream.name(text: String) {
    val encoded = text.encodeToByteArray()
    uint32(encoded.size)
    write(encoded)
}

private fun OutputStream.uint32(value: Int) = write(littleEndian(Int.SIZE_BYTES).putInt(value).array())

private fun OutputStream.int64(value: Long) = write(littleEndian(Long.SIZE_BYTES).putLong(value).array())

private fun littleEndian(bytes: Int): ByteBuffer = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN)

/** Values that are written at once. */
private const val ROW = 1 shl 14
