package org.bertmobile.engine

import java.io.File
import java.io.RandomAccessFile
import java.nio.file.Path
import java.time.Duration
import java.util.concurrent.Callable
import java.util.concurrent.Executors
import org.bertmobile.core.Accelerator
import org.bertmobile.core.BertMobileException
import org.bertmobile.core.Bundle
import org.bertmobile.core.BundleException
import org.bertmobile.core.Engine
import org.bertmobile.core.IntTensor
import org.bertmobile.core.UsageException
import org.bertmobile.engine.litert.Opening
import org.bertmobile.engine.ort.OnnxRuntime
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTimeout
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.function.ThrowingSupplier
import org.junit.jupiter.api.io.TempDir

private const val OUTPUT = "sentence_embedding"
private const val TEXT = "the weather is warm in paris"

/** What both engines have to do with any model, from opening to closing. */
abstract class Lives(private val name: String) {
    @TempDir
    lateinit var temporary: Path

    protected val cache: File get() = temporary.resolve("cache").toFile()
    protected val bundle by lazy { Bundle.open(File(property("bundles"), name)) }

    @Test
    fun `every length of the bundle can be run, in any order`() = opened(bundle) { engine ->
        val expected = bundle.manifest.lengths.map { vector(engine, it) }
        for (place in bundle.manifest.lengths.indices.reversed()) {
            assertArrayEquals(expected[place], vector(engine, bundle.manifest.lengths[place]))
        }
    }

    @Test
    fun `threads that share an engine get what one of them would`() = opened(bundle) { engine ->
        val lengths = bundle.manifest.lengths.toList()
        val expected = lengths.associateWith { vector(engine, it) }
        val threads = Executors.newFixedThreadPool(4)
        try {
            val answers = List(200) { number ->
                val length = lengths[number % lengths.size]
                threads.submit(Callable { length to vector(engine, length) })
            }
            for ((length, answer) in answers.map { it.get() }) assertArrayEquals(expected[length], answer)
        } finally {
            threads.shutdown()
        }
    }

    @Test
    fun `an output is the caller's own`() = opened(bundle) { engine ->
        val first = vector(engine, 64)
        val kept = first.copyOf()
        engine.run(inputs(64, "cold rain"))
        assertArrayEquals(kept, first)
    }

    @Test
    fun `an engine that was closed can be opened again, and again`() {
        val vectors = List(3) { opened(bundle) { vector(it, 64) } }
        for (vector in vectors) assertArrayEquals(vectors[0], vector)
    }

    @Test
    fun `closing twice is fine, and a run after it an error in words`() {
        val engine = engine(bundle, cache)
        vector(engine, 64)
        repeat(2) { engine.close() }
        refused<UsageException>("the engine is closed; open the bundle again") { vector(engine, 64) }
    }

    @Test
    fun `two engines of one bundle do not know of each other`() = opened(bundle) { first ->
        val expected = vector(first, 64)
        opened(bundle) { assertArrayEquals(expected, vector(it, 64)) }
        assertArrayEquals(expected, vector(first, 64))
    }

    @Test
    fun `a damaged model is named`() {
        val copy = copy()
        RandomAccessFile(bundleModel(copy), "rw").use { it.write(ByteArray(64) { 0x55 }) }
        refused<BundleException>("cannot load ${bundle.manifest.modelFile}: ") {
            engine(Bundle.open(copy, verify = false), cache)
        }
        refused<BundleException>("was changed: its SHA-256 is not the manifest's") { Bundle.open(copy) }
    }

    @Test
    fun `a model of another size is refused though nobody hashes`() {
        val copy = copy()
        RandomAccessFile(bundleModel(copy), "rw").use { it.setLength(it.length() / 2) }
        refused<BundleException>("its manifest says") { Bundle.open(copy, verify = false) }
    }

    @Test
    fun `a text of a million characters is answered from what fits`() {
        val tokenize = ThrowingSupplier { bundle.tokenization().encode("warm rain ".repeat(100_000)) }
        val encoded = assertTimeout(Duration.ofSeconds(20), tokenize)
        assertEquals(bundle.manifest.lengths.last(), encoded.size)
        opened(bundle) { assertTrue(it.run(encoded.inputs).getValue(OUTPUT).values.all(Float::isFinite)) }
    }

    @Test
    fun `several threads give what one does, and none is an error`() {
        val expected = opened(bundle) { vector(it, 64) }
        engine(bundle, cache, threads = 2).use {
            assertEquals(2, it.facts.threads)
            assertArrayEquals(expected, vector(it, 64), 1e-5f)
        }
        refused<UsageException>("threads must be 1 or more, not 0") { engine(bundle, cache, threads = 0) }
    }

    @Test
    fun `a token that the model does not have is refused`() = opened(bundle) { engine ->
        val inputs = inputs(64)
        inputs.getValue("input_ids").values[1] = bundle.manifest.tokenizer.vocabSize
        refused<UsageException>("input_ids has ${bundle.manifest.tokenizer.vocabSize}") { engine.run(inputs) }
    }

    protected fun inputs(length: Int, text: String = TEXT) =
        bundle.tokenization().encode("$text ".repeat(length)).inputs.mapValues { (_, tensor) ->
            IntTensor(intArrayOf(1, length), tensor.values.copyOf(length))
        }

    protected fun vector(engine: Engine, length: Int): FloatArray =
        engine.run(inputs(length)).getValue(OUTPUT).values

    protected fun <T> opened(bundle: Bundle, action: (Engine) -> T): T = engine(bundle, cache).use(action)

    protected fun copy(): File = temporary.resolve("copy").toFile().also { bundle.folder.copyRecursively(it) }

    protected fun bundleModel(folder: File) = File(folder, bundle.manifest.modelFile)

    protected inline fun <reified T : BertMobileException> refused(message: String, crossinline action: () -> Unit) {
        val failure = assertThrows(T::class.java) { action() }
        assertTrue(message in failure.message!!, failure.message)
        assertTrue('\n' !in failure.message!!, failure.message)
    }
}

class LiteRtTest : Lives("feature-extraction-int8.tflite") {
    @Test
    fun `packed weights are written once, and read by later loads`() {
        val vector = opened(bundle) { vector(it, 64) }
        val written = cached().single()
        val time = written.lastModified()
        assertArrayEquals(vector, opened(bundle) { vector(it, 64) })
        assertEquals(listOf(written), cached())
        assertEquals(time, written.lastModified())
    }

    @Test
    fun `another model does not read the cache of the first`() {
        opened(bundle) {}
        val first = cached().single()
        val other = Bundle.open(File(property("bundles"), "feature-extraction-float32.tflite"))
        val expected = engine(other, temporary.resolve("empty").toFile()).use { vector(it, 64) }
        assertArrayEquals(expected, opened(other) { vector(it, 64) })
        assertEquals(2, cached().size)
        assertTrue(first in cached())
    }

    @Test
    fun `a cache that was cut short is packed anew`() {
        val vector = opened(bundle) { vector(it, 64) }
        val whole = cached().single().length()
        RandomAccessFile(cached().single(), "rw").use { it.setLength(whole / 2) }
        assertArrayEquals(vector, opened(bundle) { vector(it, 64) })
        assertEquals(whole, cached().single().length())
    }

    @Test
    fun `what an ended process left is removed after a while`() {
        weights.mkdirs()
        val (old, new) = listOf("old", "new").map { File(weights, "$it.building").apply { writeText("half") } }
        old.setLastModified(System.currentTimeMillis() - 7_200_000)
        opened(bundle) {}
        assertEquals(false to true, old.exists() to new.exists())
    }

    @Test
    fun `a cache folder that cannot be is done without`() {
        val file = temporary.resolve("file").toFile().apply { writeText("no folder") }
        engine(bundle, file).use { vector(it, 64) }
    }

    @Test
    fun `an accelerator that is not there is replaced by the CPU, which says so`() {
        for (missing in listOf(Accelerator.GPU, Accelerator.NPU)) {
            engine(bundle, cache, accelerator = missing).use { engine ->
                assertEquals(Accelerator.CPU.spelling, engine.facts.accelerator)
                assertArrayEquals(opened(bundle) { vector(it, 64) }, vector(engine, 64))
            }
        }
    }

    @Test
    fun `a bundle for another target is refused`() = refused<BundleException>("is a bundle for onnx") {
        val other = Bundle.open(File(property("bundles"), "feature-extraction-int8.onnx"))
        Opening(nativeLiteRt, other, cache, 1).engine(Accelerator.CPU)
    }

    private val weights get() = File(cache, Opening.CACHE)

    private fun cached(): List<File> = weights.listFiles().orEmpty().toList()
}

class OnnxRuntimeTest : Lives("feature-extraction-int8.onnx") {
    @Test
    fun `lengths between the buckets are run as they are`() = opened(bundle) { engine ->
        val states = engine.run(inputs(11)).getValue("last_hidden_state")
        assertArrayEquals(intArrayOf(1, 11, states.shape.last()), states.shape)
    }

    @Test
    fun `a bundle for another target is refused`() = refused<BundleException>("is a bundle for tflite") {
        OnnxRuntime.open(Bundle.open(File(property("bundles"), "feature-extraction-int8.tflite")))
    }

    @Test
    fun `the library tells its version`() = opened(bundle) { assertNotEquals(null, it.facts.version) }
}

/** An `.ort` file, which is mapped into memory. */
class OrtFormatTest : Lives("feature-extraction-int8-ort.onnx") {
    @Test
    fun `the model file is mapped into memory`() = opened(bundle) {
        val path = bundleModel(bundle.folder).canonicalPath
        assertTrue(File("/proc/self/maps").readLines().any { it.endsWith(path) }, "$path is not mapped")
    }
}
