package org.bertmobile.engine

import java.io.File
import java.nio.file.Path
import org.bertmobile.core.Bundle
import org.bertmobile.core.Case
import org.bertmobile.core.Engine
import org.bertmobile.core.parseJson
import org.bertmobile.core.tasks.Context
import org.bertmobile.core.tasks.answer
import org.bertmobile.core.tasks.assertSame
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.io.TempDir

/** Same library, same processor: only the order in which softmax sums, and the rounding of scores, may differ. */
private const val CLOSE = 1e-5

/** Bundles with what the Python runtime answers, which Python prepares: `tests/mobile_demo_android/test_engines.py`. */
class AnswersTest {
    @TempDir
    lateinit var temporary: Path

    @TestFactory
    fun `answers are those of the Python runtime`() = bundles().flatMap { bundle ->
        val cases = File("${bundle.folder}.jsonl").readLines().map { Case(parseJson(it) as Map<*, *>) }
        cases.mapIndexed { number, case ->
            dynamicTest("${bundle.manifest.name} case ${number + 1}") {
                val tokenization = bundle.tokenization()
                val (text, pair) = case.list("texts").map { it as String? }
                // A long context is cut into windows, whose tokens the answer depends on.
                if (case["ids"] != null) assertArrayEquals(case.ints("ids"), tokenization.encode(text!!, pair).ids)
                opened(bundle) {
                    assertSame(case["answer"], answer(Context(bundle.manifest, tokenization, it), case), CLOSE)
                }
            }
        }
    }

    @TestFactory
    fun `golden answers pass`(): List<DynamicTest> = bundles().map { bundle ->
        dynamicTest(bundle.manifest.name) {
            val golden = bundle.golden()
            val results = opened(bundle) { golden.check(bundle.manifest, it) }
            assertTrue(results.size >= golden.cases.size && results.all { it.passed }, results.toString())
        }
    }

    @TestFactory
    fun `an engine says what it is`() = bundles().map { bundle ->
        dynamicTest(bundle.manifest.name) {
            val facts = opened(bundle, Engine::facts)
            assertEquals(if (bundle.manifest.target == "onnx") "onnxruntime" else "litert", facts.name)
            assertEquals("cpu" to 1, facts.accelerator to facts.threads)
        }
    }

    private fun bundles(): List<Bundle> {
        val cases = File(property("bundles")).listFiles()!!.filter { it.extension == "jsonl" }.sorted()
        check(cases.isNotEmpty()) { "there are no bundles" }
        return cases.map { Bundle.open(File(it.path.removeSuffix(".jsonl"))) }
    }

    private fun <T> opened(bundle: Bundle, action: (Engine) -> T): T =
        engine(bundle, temporary.toFile()).use(action)
}
