package org.bertmobile.engine

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import com.sun.management.ThreadMXBean
import java.io.File
import java.lang.management.ManagementFactory
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.bertmobile.core.Accelerator
import org.bertmobile.core.Bundle
import org.bertmobile.core.Encoded
import org.bertmobile.core.Tokenization
import org.bertmobile.core.parseJson
import org.bertmobile.core.tasks.Context
import org.bertmobile.core.tasks.FeatureExtraction
import org.bertmobile.engine.litert.Opening

private const val VECTOR = "sentence_embedding"

/**
 * What `:core` and an engine cost: a text to its vector, against nothing but the library's run of the same tokens, each
 * in turn. Writes for each bundle its folder's name and, for each round, nanoseconds of both.
 *
 * Arguments: rounds, a file of texts (a JSON string a line; the first is measured, all are for the allocation of the
 * tokenizer), and folders of bundles for feature-extraction.
 */
fun main(arguments: Array<String>) {
    val rounds = arguments[0].toInt()
    val texts = File(arguments[1]).readLines().map { parseJson(it) as String }
    // First, for it also makes the tokenizer as fast as it gets.
    println("allocated ${allocated(Bundle.open(File(arguments[2])).tokenization(), texts)}")
    for (folder in arguments.drop(2)) {
        val bundle = Bundle.open(File(folder))
        val tokenization = bundle.tokenization()
        val encoded = tokenization.encode(texts[0])
        val cache = File("$folder.cache")
        engine(bundle, cache).use { engine ->
            val task = FeatureExtraction(Context(bundle.manifest, tokenization, engine))
            bare(bundle, encoded, cache).use { bare ->
                repeat(rounds / 4) { bare.run() to task.embed(texts[0]) }
                val times = List(rounds) { round ->
                    // The one that comes second finds warm caches.
                    if (round % 2 == 0) nanoseconds(bare::run) to nanoseconds { task.embed(texts[0]) }
                    else nanoseconds { task.embed(texts[0]) }.let { whole -> nanoseconds(bare::run) to whole }
                }
                for ((library, whole) in times) println("$folder ${encoded.size} $library $whole")
            }
        }
    }
}

/** Bytes that the tokenizer takes from the heap for a text, on average, when it is warm. */
private fun allocated(tokenization: Tokenization, texts: List<String>): Long {
    val threads = ManagementFactory.getThreadMXBean() as ThreadMXBean
    val self = Thread.currentThread().id
    repeat(3) { texts.forEach(tokenization::tokenIds) }
    val before = threads.getThreadAllocatedBytes(self)
    texts.forEach(tokenization::tokenIds)
    return (threads.getThreadAllocatedBytes(self) - before) / texts.size
}

private inline fun nanoseconds(action: () -> Unit): Long {
    val begin = System.nanoTime()
    action()
    return System.nanoTime() - begin
}

private fun interface Bare : AutoCloseable {
    fun run()

    override fun close() = Unit
}

private fun bare(bundle: Bundle, encoded: Encoded, cache: File): Bare =
    if (bundle.manifest.target == "onnx") bareOnnxRuntime(bundle, encoded) else bareLiteRt(bundle, encoded, cache)

/** With the engine's cache of weights, so that both run from the same memory. */
private fun bareLiteRt(bundle: Bundle, encoded: Encoded, cache: File): Bare {
    val weights = File(cache, Opening.CACHE).listFiles()!!.single()
    val model = nativeLiteRt.load(bundle.model, Accelerator.CPU, threads = 1, weightCache = weights)
    val manifest = bundle.manifest
    val signature = model.signature(
        manifest.signatures.getValue(manifest.bucket(encoded.size)),
        manifest.inputs.map { it.name },
        manifest.outputs.map { it.name },
    )
    return object : Bare {
        override fun run() {
            for ((name, tensor) in encoded.inputs) signature.write(name, tensor.values)
            signature.run()
            signature.read(VECTOR)
        }

        override fun close() {
            signature.close()
            model.close()
        }
    }
}

private fun bareOnnxRuntime(bundle: Bundle, encoded: Encoded): Bare {
    val environment = OrtEnvironment.getEnvironment()
    val options = OrtSession.SessionOptions().apply { setIntraOpNumThreads(1) }
    val session = environment.createSession(bundle.model.path, options)
    val tensors = encoded.inputs.mapValues { (_, tensor) ->
        val memory = ByteBuffer.allocateDirect(tensor.values.size * Long.SIZE_BYTES).order(ByteOrder.nativeOrder())
        val numbers = memory.asLongBuffer()
        tensor.values.forEachIndexed { index, value -> numbers.put(index, value.toLong()) }
        OnnxTensor.createTensor(environment, numbers, longArrayOf(1, tensor.values.size.toLong()))
    }
    return object : Bare {
        override fun run() = session.run(tensors, setOf(VECTOR)).use { (it[0] as OnnxTensor).floatBuffer.array(); Unit }

        override fun close() {
            tensors.values.forEach(OnnxTensor::close)
            session.close()
            options.close()
        }
    }
}
