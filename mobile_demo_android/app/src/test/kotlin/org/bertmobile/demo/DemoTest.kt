package org.bertmobile.demo

import java.io.File
import java.nio.file.Path
import java.util.concurrent.CopyOnWriteArrayList
import java.util.concurrent.CountDownLatch
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.ScheduledThreadPoolExecutor
import java.util.concurrent.TimeUnit
import org.bertmobile.core.Engine
import org.bertmobile.core.EngineException
import org.bertmobile.core.FloatTensor
import org.bertmobile.core.Verified
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

class DemoTest {
    @TempDir
    lateinit var temporary: Path

    private val main = LinkedBlockingQueue<Runnable>()
    private val opened = ArrayList<StandInEngine>()
    private var makeEngine: (Int) -> Engine = { threads -> StandInEngine(threads).also(opened::add) }
    private var packaged = mapOf(TestBundles.open().manifest.name to treeOf(TestBundles.original))
    private val demos = ArrayList<Demo>()
    private val workers = ArrayList<ScheduledThreadPoolExecutor>()
    private lateinit var screen: Screen

    /** Threads that reached for the app's files. */
    private val touching = CopyOnWriteArrayList<Thread>()
    private val name = TestBundles.open().manifest.name

    @AfterEach
    fun end() {
        demos.forEach(Demo::close)
        workers.forEach { it.shutdown() }
    }

    @Test
    fun `the app begins with the bundles that there are`() {
        demo().start(null)
        assertEquals(listOf(Shelved(name, chosen = false)), choosing().bundles)
    }

    @Test
    fun `bundles are unknown, not none, until they were looked for`() {
        packaged = emptyMap()
        demo().start(null)
        assertEquals(Screen.Choosing(null, null), screen)
        assertEquals(Screen.Choosing(emptyList(), null), choosing())
    }

    @Test
    fun `files are the worker's only`() {
        asking(demo())
        assertTrue(touching.isNotEmpty() && Thread.currentThread() !in touching, "$touching")
    }

    @Test
    fun `a bundle's task decides which fields there are`() {
        val asking = asking(demo())
        assertEquals(listOf(Field.TEXT, Field.PAIR), asking.fields)
        assertEquals(name, asking.model.name)
        assertEquals("stand-in 1.0 cpu 2", asking.model.run { "$engine $engineVersion $accelerator $threads" })
    }

    @Test
    fun `what is typed is answered`() {
        val demo = demo()
        asking(demo)
        demo.type(0, "the keeper")
        val ranked = await<Screen.Asking> { it.answer != null }.answer as Answer.Ranked
        assertEquals(setOf("bad", "good", "fine"), ranked.lists.single().map { it.text }.toSet())
        assertEquals(1.0, ranked.lists.single().sumOf { it.score }, 1e-6)
        demo.type(0, " ")
        await<Screen.Asking> { it.answer == null && it.problem == null }
    }

    @Test
    fun `a text of a million characters is a problem that goes away`() {
        val demo = demo()
        asking(demo)
        demo.type(0, "a".repeat(1_000_000))
        val problem = await<Screen.Asking> { it.problem != null }.problem
        assertEquals(Problem.TooLong(1_000_000, LONGEST_TEXT), problem)
        demo.type(0, "the keeper")
        await<Screen.Asking> { it.answer != null && it.problem == null }
    }

    @Test
    fun `the longest text that is taken is answered`() {
        val demo = demo()
        asking(demo)
        demo.type(0, "a ".repeat(LONGEST_TEXT / 2))
        await<Screen.Asking> { it.answer != null }
    }

    @Test
    fun `texts outlive a rotation`() {
        val demo = demo()
        asking(demo)
        demo.type(0, "the keeper")
        demo.observer = null
        demo.observer = { screen = it }
        assertTrue(screen is Screen.Asking)
        assertEquals(listOf("the keeper", ""), demo.texts)
    }

    @Test
    fun `texts outlive the process`() {
        val first = demo()
        asking(first)
        first.type(1, "lighthouse")
        val saved = first.saved
        val second = demo()
        second.start(saved)
        await<Screen.Asking>()
        assertEquals(listOf("", "lighthouse"), second.texts)
    }

    @Test
    fun `a packaged bundle is brought back whatever its folder is called`() {
        packaged = mapOf("renamed" to treeOf(TestBundles.original))
        val first = demo()
        first.start(null)
        first.open("renamed")
        await<Screen.Asking>()
        assertEquals("renamed", first.saved!!.bundle)
        val second = demo()
        second.start(first.saved)
        assertEquals("renamed", second.saved!!.bundle, "also before it is open")
        assertEquals(name, await<Screen.Asking>().model.name)
    }

    @Test
    fun `a bundle that an update left out is not brought back`() {
        packaged = emptyMap()
        demo().start(Saved("old", listOf("the keeper", "")))
        val problem = await<Screen.Choosing> { it.problem != null }.problem
        assertTrue(problem is Problem.Said && "the app has no bundle old any more" in problem.message, "$problem")
    }

    @Test
    fun `another bundle begins with empty fields, and the model before is closed`() {
        val demo = demo()
        asking(demo)
        demo.type(0, "the keeper")
        assertTrue(demo.back())
        await<Screen.Choosing>()
        demo.open(name)
        await<Screen.Asking>()
        assertEquals(listOf("", ""), demo.texts)
        assertEquals(listOf(true, false), opened.map { it.closed })
    }

    @Test
    fun `the last screen has none behind it`() {
        val demo = demo()
        demo.start(null)
        await<Screen.Choosing>()
        assertFalse(demo.back())
    }

    @Test
    fun `a folder that the user chose is copied and opened`() {
        val demo = demo()
        demo.start(null)
        demo.open(treeOf(TestBundles.original))
        assertEquals(name, await<Screen.Asking>().model.name)
    }

    @Test
    fun `a bundle that the user chose can be removed`() {
        packaged = emptyMap()
        val demo = demo()
        demo.start(null)
        demo.open(treeOf(TestBundles.original))
        await<Screen.Asking>()
        assertTrue(demo.back())
        await<Screen.Choosing> { it.bundles == listOf(Shelved(name, chosen = true)) }
        demo.remove(name)
        await<Screen.Choosing> { it.bundles!!.isEmpty() && it.problem == null }
    }

    @Test
    fun `a folder that cannot be read is a problem`() {
        val denied = FileTree { throw SecurityException("permission denied") }
        assertEquals(Problem.Unreadable("permission denied"), problemOfOpening { it.open(denied) })
        val gone = FileTree { throw java.io.IOException("card removed") }
        assertEquals(Problem.Unreadable("card removed"), problemOfOpening { it.open(gone) })
    }

    @Test
    fun `a damaged bundle is a problem in its reader's words`() {
        for ((fault, words) in faults()) {
            val problem = problemOfOpening { it.open(treeOf(fault())) }
            assertTrue(problem is Problem.Said && words in problem.message, "$problem")
        }
    }

    @Test
    fun `a vocabulary of the wrong size is told before the model is loaded`() {
        val shorter = TestBundles.copy(temporary) { manifest ->
            manifest.replace(Regex("\"vocab_size\": \\d+"), "\"vocab_size\": 7")
        }
        val problem = problemOfOpening { it.open(treeOf(shorter)) }
        assertTrue(problem is Problem.Said && "tokens, the manifest says 7" in problem.message, "$problem")
        assertTrue(opened.isEmpty())
    }

    @Test
    fun `no memory for the model is told, and another bundle can be opened`() {
        makeEngine = { throw OutOfMemoryError("Failed to allocate") }
        val demo = demo()
        demo.start(null)
        demo.open(name)
        assertEquals(Problem.NoMemory, await<Screen.Choosing> { it.problem != null }.problem)
        makeEngine = { StandInEngine(it) }
        demo.open(name)
        await<Screen.Asking>()
    }

    @Test
    fun `an engine that does not load says why`() {
        makeEngine = { throw EngineException("no memory for model.tflite; close other apps") }
        assertEquals(Problem.Said("no memory for model.tflite; close other apps"), problemOfOpening { it.open(name) })
        makeEngine = { throw UnsatisfiedLinkError("libLiteRt.so not found") }
        assertEquals(Problem.NoEngine, problemOfOpening { it.open(name) })
        makeEngine = { error("a mistake") }
        assertEquals(Problem.Unexpected("IllegalStateException: a mistake"), problemOfOpening { it.open(name) })
    }

    @Test
    fun `a bundle over which the process ended is not opened by itself again`() {
        mark().writeText(name)
        val demo = demo()
        demo.start(Saved(name, listOf("the keeper", "")))
        assertEquals(Problem.EndedWhileOpening(name), await<Screen.Choosing> { it.problem != null }.problem)
        assertFalse(mark().exists())
        demo.open(name)
        await<Screen.Asking>()
        assertFalse(mark().exists())
    }

    @Test
    fun `the mark is there while a model is loaded`() {
        var seen = false
        makeEngine = { StandInEngine(it).also { seen = mark().readText() == name } }
        asking(demo())
        assertTrue(seen)
    }

    @Test
    fun `the mark is there while a model runs first, on its longest input`() {
        val seen = ArrayList<Boolean>()
        makeEngine = { threads ->
            StandInEngine(threads) { outputs -> outputs.also { seen.add(mark().exists()) } }.also(opened::add)
        }
        asking(demo())
        assertEquals(listOf(true), seen)
        assertEquals(TestBundles.open().manifest.lengths.last(), opened.single().longest)
        assertFalse(mark().exists())
    }

    @Test
    fun `a model that has no memory to run is told, and closed`() {
        makeEngine = { threads -> StandInEngine(threads) { throw OutOfMemoryError("no arena") }.also(opened::add) }
        assertEquals(Problem.NoMemory, problemOfOpening { it.open(name) })
        assertTrue(opened.single().closed)
        assertFalse(mark().exists())
    }

    @Test
    fun `a bundle is opened where there is no room for a mark`() {
        assertTrue(mark().mkdirs())
        asking(demo())
    }

    @Test
    fun `an activity that begins while the last one still opens a bundle waits, and is told nothing false`() {
        val opening = CountDownLatch(1)
        val goOn = CountDownLatch(1)
        makeEngine = { threads ->
            opening.countDown()
            goOn.await()
            StandInEngine(threads).also(opened::add)
        }
        val first = demo()
        first.start(null)
        first.open(name)
        assertTrue(opening.await(10, TimeUnit.SECONDS))
        val second = demo(workers.last())
        second.start(Saved(name, listOf("the keeper", "")))
        goOn.countDown()
        await<Screen.Asking>()
        assertEquals(listOf(true, false), opened.map { it.closed })
    }

    @Test
    fun `a copy that is left ends`() {
        val copying = CountDownLatch(1)
        val goOn = CountDownLatch(1)
        val slow = FileTree { path ->
            if (path != "manifest.json") {
                copying.countDown()
                goOn.await()
            }
            treeOf(TestBundles.original).open(path)
        }
        val demo = demo()
        demo.start(null)
        demo.open(slow)
        assertTrue(copying.await(10, TimeUnit.SECONDS))
        demo.close()
        goOn.countDown()
        closed()
        assertEquals(emptyList<String>(), File(temporary.toFile(), "bundles/chosen").list().orEmpty().toList())
    }

    @Test
    fun `a bundle that is left while it loads does not come back`() {
        val demo = demo()
        demo.start(null)
        demo.open(name)
        assertTrue(demo.back())
        await<Screen.Choosing>()
        demo.close()
        closed()
        assertTrue(screen is Screen.Choosing)
    }

    @Test
    fun `a model that answers as the exporting machine did passes the check`() {
        val demo = demo()
        asking(demo)
        demo.check()
        val report = await<Screen.Checking> { it.report != null }.report!!
        assertTrue(report.passed)
        assertEquals(8, report.cases)
        assertTrue(demo.back())
        await<Screen.Asking>()
    }

    @Test
    fun `a model that answers otherwise fails the check, and the texts are named`() {
        makeEngine = { threads -> StandInEngine(threads) { it.mapValues { (_, logits) -> logits.changed(1f) } } }
        val demo = demo()
        asking(demo)
        demo.check()
        val report = await<Screen.Checking> { it.report != null }.report!!
        assertEquals(TestBundles.open().golden().cases.map { it.text }, report.failures.map { it.text })
        assertTrue(report.failures.all { it.output == "logits" && it.maxAbs >= 1 })
        assertFalse(report.passed)
    }

    @Test
    fun `a check that cannot be run is a problem on its screen`() {
        makeEngine = { threads -> StandInEngine(threads) { emptyMap() } }
        val demo = demo()
        asking(demo)
        demo.check()
        val problem = await<Screen.Checking> { it.problem != null }.problem
        assertTrue(problem is Problem.Said && "the model gives no logits" in problem.message, "$problem")
    }

    @Test
    fun `a measurement ends in a report, with what speaks against it`() {
        val demo = demo()
        asking(demo)
        demo.showMeasuring()
        demo.measure(16, Amount(warmUpRuns = 2, runs = 5, seconds = 0.0))
        val report = await<Screen.Measuring> { it.report != null }.report!!
        assertEquals(5, report.runs)
        assertEquals(16, report.length)
        assertEquals(1 + 7, opened.single().runs, "one at opening")
        assertTrue(Doubt.FewRuns(5) in report.doubts && Doubt.Debuggable in report.doubts, "${report.doubts}")
    }

    @Test
    fun `a measurement that is left ends, and the model answers again`() {
        val demo = demo()
        asking(demo)
        demo.showMeasuring()
        demo.measure(16, Amount(warmUpRuns = 0, runs = 1, seconds = 1e9))
        while (opened.single().runs < 10) Thread.sleep(1)
        assertTrue(demo.back())
        demo.type(0, "the keeper")
        await<Screen.Asking> { it.answer != null }
    }

    @Test
    fun `a measurement ends with the reason when the app is left, and can be made again`() {
        val demo = demo()
        asking(demo)
        demo.showMeasuring()
        demo.hide()
        assertNull((screen as Screen.Measuring).problem)
        demo.measure(16, Amount(warmUpRuns = 0, runs = 1, seconds = 1e9))
        while (opened.single().runs < 10) Thread.sleep(1)
        demo.hide()
        val left = screen as Screen.Measuring
        assertEquals(Problem.LeftWhileMeasuring, left.problem)
        assertNull(left.done)
        workers.last().submit {}.get(10, TimeUnit.SECONDS)
        demo.measure(16, Amount(warmUpRuns = 0, runs = 1, seconds = 0.0))
        await<Screen.Measuring> { it.report != null && it.problem == null }
    }

    @Test
    fun `closing closes the model`() {
        val demo = demo()
        asking(demo)
        demo.close()
        closed()
        assertTrue(opened.single().closed)
    }

    @Test
    fun `nothing is kept of a screen without a bundle`() {
        val demo = demo()
        demo.start(null)
        assertNull(demo.saved)
        asking(demo)
        assertNotNull(demo.saved)
    }

    private fun faults(): List<Pair<() -> File, String>> = listOf(
        { TestBundles.copy(temporary).also { File(it, "model.tflite").writeText("no modul\n") } } to "was changed",
        { TestBundles.copy(temporary, TestBundles.replacing("\"passed\"", "\"failed\"")) } to "verdict failed",
        { TestBundles.copy(temporary, TestBundles.replacing("\"schema_version\": 1", "\"schema_version\": 2")) } to
            "schema version 2",
        { TestBundles.copy(temporary, TestBundles.replacing("text-classification", "translation")) } to "task is not",
        { TestBundles.copy(temporary) { "{" } } to "is not valid JSON",
        { temporary.toFile() } to "this folder is no bundle",
    )

    private fun FloatTensor.changed(by: Float) = FloatTensor(shape, FloatArray(values.size) { values[it] + by })

    private fun mark() = File(temporary.toFile(), "opening")

    /** The worker has done all that it was given before the end, and no engine is open. */
    private fun closed() {
        workers.last().submit {}.get(10, TimeUnit.SECONDS)
        assertTrue(opened.all { it.closed })
    }

    /** Another process, where it has a worker of its own; otherwise another activity of the last one's. */
    private fun demo(worker: ScheduledThreadPoolExecutor? = null): Demo {
        demos.forEach(Demo::close)
        val phone = object : Phone {
            override val debuggable = true

            override fun thermalStatus() = 0
        }
        val demo = Demo(
            shelf = lazy {
                touching.add(Thread.currentThread())
                BundleShelf(
                    File(temporary.toFile(), "bundles"), packaged, Verified(File(temporary.toFile(), "verified")),
                )
            },
            engines = { _, threads -> makeEngine(threads) },
            threads = 2,
            phone = phone,
            worker = worker ?: ScheduledThreadPoolExecutor(1).apply { removeOnCancelPolicy = true }.also(workers::add),
            main = main::add,
            mark = lazy {
                touching.add(Thread.currentThread())
                OpeningMark(mark())
            },
        )
        demo.observer = { screen = it }
        demos.add(demo)
        return demo
    }

    private fun asking(demo: Demo): Screen.Asking {
        demo.start(null)
        demo.open(name)
        return await<Screen.Asking>()
    }

    private fun choosing() = await<Screen.Choosing> { it.bundles != null }

    private fun problemOfOpening(open: (Demo) -> Unit): Problem? {
        val demo = demo()
        demo.start(null)
        open(demo)
        return await<Screen.Choosing> { it.problem != null }.problem
    }

    /** Run what is for the main thread until such a screen is shown. */
    private inline fun <reified T : Screen> await(fits: (T) -> Boolean = { true }): T {
        while (true) {
            val shown = screen
            if (shown is T && fits(shown)) return shown
            val next = main.poll(10, TimeUnit.SECONDS) ?: error("still at $screen")
            next.run()
        }
    }
}
