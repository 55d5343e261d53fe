package org.bertmobile.demo

import java.util.concurrent.Executor
import java.util.concurrent.ScheduledExecutorService
import java.util.concurrent.atomic.AtomicInteger
import org.bertmobile.core.Bundle

/**
 * What the app does, without the part of it that is Android's: which screen is shown, and what is on it.
 *
 * Called on the main thread only. Files and models are the worker's, so that the screen never waits for them.
 *
 * @param threads of the CPU that the model runs on.
 * @param shelf made by the worker, as [mark] is.
 * @param worker a single thread, the same for all demos of a process: no two of them may copy or open at once.
 * @param main runs what it is given on the main thread.
 * @param mark remembers a bundle that is being opened, for the case that the app ends over it.
 */
class Demo(
    shelf: Lazy<BundleShelf>,
    private val engines: EngineFactory,
    private val threads: Int,
    private val phone: Phone,
    private val worker: ScheduledExecutorService,
    private val main: Executor,
    mark: Lazy<OpeningMark>,
) : AutoCloseable {
    private val shelf by shelf
    private val mark by mark

    /** Told about each new screen; the one that is shown at once. */
    var observer: ((Screen) -> Unit)? = null
        set(value) {
            field = value
            value?.invoke(screen)
        }

    /** The texts of the task's fields, which outlive a screen. */
    var texts: List<String> = emptyList()
        private set

    private var screen: Screen = Screen.Choosing(null, null)
        set(value) {
            field = value
            observer?.invoke(value)
        }

    /** The worker's own. */
    private var opened: OpenBundle? = null

    private var bundles: List<Shelved>? = null
    private var closed = false

    /** What the worker does for an older turn is not wanted any more. */
    private val newest = AtomicInteger()
    private val live = Live(worker, main, PAUSE_MILLIS, ::answer, ::answered)

    /** What to bring back when the process is started again; null where no bundle is open. */
    val saved: Saved?
        get() = when (val shown = screen) {
            is Screen.Asking -> Saved(shown.model.bundle, texts)
            is Screen.Checking -> Saved(shown.model.bundle, texts)
            is Screen.Measuring -> Saved(shown.model.bundle, texts)
            is Screen.Opening -> shown.bundle?.let { Saved(it, texts) }
            is Screen.Choosing -> null
        }

    /** Begin, where an ended process left off. */
    fun start(saved: Saved?) {
        if (saved != null) {
            texts = saved.texts
            screen = Screen.Opening(saved.bundle)
        }
        work({ mark.take() }) { found ->
            val ended = found.getOrNull()
            when {
                ended != null -> choose(Problem.EndedWhileOpening(ended))
                saved == null -> choose(found.problem())
                else -> open(saved.bundle) { wanted -> shelf.open(saved.bundle, wanted) }
            }
        }
    }

    /** Open one of the bundles that there are. */
    fun open(name: String) {
        texts = emptyList()
        open(name) { wanted -> shelf.open(name, wanted) }
    }

    /** Copy a bundle into the app's files, and open it. */
    fun open(tree: FileTree) {
        texts = emptyList()
        open(null) { wanted -> shelf.add(tree, wanted) }
    }

    /** Remove a bundle that the user chose. */
    fun remove(name: String) = work({ shelf.remove(name) }) { choose(it.problem()) }

    /** The text of a field has changed, because somebody types. */
    fun type(field: Int, text: String) {
        // A field may still be heard of when its screen is gone.
        if (screen !is Screen.Asking || field !in texts.indices || texts[field] == text) return
        texts = texts.toMutableList().also { it[field] = text }
        live.ask(texts)
    }

    /** Compare the golden answers. */
    fun check() {
        val model = model ?: return
        screen = Screen.Checking(model, null, null)
        work({ opened?.check() }) { screen = Screen.Checking(model, it.getOrNull(), it.problem()) }
    }

    /** Go to the screen that measures. */
    fun showMeasuring() {
        val model = model ?: return
        stop()
        screen = Screen.Measuring(model, null, null, null)
    }

    /** Measure the model with so many tokens. */
    fun measure(length: Int, amount: Amount = ENOUGH) {
        val model = model ?: return
        screen = Screen.Measuring(model, 0.0, null, null)
        work({ turn ->
            val before = phone.thermalStatus()
            opened?.measure(length, amount, Progress(turn, model)::told)?.let { report(length, it, phone, before) }
        }) { screen = Screen.Measuring(model, null, it.getOrNull(), it.problem()) }
    }

    /** The app cannot be seen any more. Phones give such a one less of their time, so a measurement ends. */
    fun hide() {
        val shown = screen as? Screen.Measuring ?: return
        if (shown.done == null) return
        stop()
        screen = shown.copy(done = null, problem = Problem.LeftWhileMeasuring)
    }

    /** One screen back; false where there is none, so that the app is left. */
    fun back(): Boolean {
        when (screen) {
            is Screen.Choosing -> return false
            is Screen.Checking, is Screen.Measuring -> ask()
            is Screen.Opening, is Screen.Asking -> choose(null)
        }
        return true
    }

    /** Close the model, when the worker is done with it. */
    override fun close() {
        if (closed) return
        closed = true
        observer = null
        stop()
        worker.execute(::closeOpened)
    }

    private val model: ModelFacts?
        get() = when (val shown = screen) {
            is Screen.Asking -> shown.model
            is Screen.Checking -> shown.model
            is Screen.Measuring -> shown.model
            else -> null
        }

    private fun choose(problem: Problem?) {
        screen = Screen.Choosing(bundles, problem)
        stop()
        worker.execute(::closeOpened)
        work({ shelf.tidied() }) {
            bundles = it.getOrDefault(emptyList())
            screen = Screen.Choosing(bundles, problem ?: it.problem())
        }
    }

    private fun open(name: String?, find: (wanted: () -> Boolean) -> Bundle) {
        stop()
        screen = Screen.Opening(name)
        work({ turn ->
            closeOpened()
            val bundle = find { turn.wanted }
            mark.opening(bundle.folder.name) { OpenBundle.open(bundle, engines, threads).also { opened = it }.facts }
        }) { found ->
            val model = found.getOrNull()
            if (model == null) choose(found.problem()) else asking(model)
        }
    }

    private fun asking(model: ModelFacts) {
        val fields = fieldsOf(model.task)
        if (texts.size != fields.size) texts = fields.map { "" }
        screen = Screen.Asking(model, null, null)
        live.ask(texts)
    }

    private fun ask() {
        stop()
        model?.let(::asking)
    }

    private fun answer(texts: List<String>): Answer? = opened?.answer(texts)

    private fun answered(found: Result<Answer?>) {
        val shown = screen as? Screen.Asking ?: return
        screen = shown.copy(answer = found.getOrNull(), problem = found.problem())
    }

    private fun stop() {
        live.forget()
        newest.incrementAndGet()
    }

    private fun <T> work(job: (Turn) -> T, done: (Result<T>) -> Unit) {
        val turn = Turn(newest.incrementAndGet())
        worker.execute {
            if (turn.wanted) {
                val found = runCatching { job(turn) }
                main.execute { if (turn.wanted) done(found) }
            }
        }
    }

    private inner class Turn(private val number: Int) {
        val wanted: Boolean get() = number == newest.get()
    }

    /** Shows how far a measurement is, as often as that makes a difference that can be seen. */
    private inner class Progress(private val turn: Turn, private val model: ModelFacts) {
        private var shown = 0.0

        fun told(done: Double): Boolean {
            if (done - shown >= STEP) {
                shown = done
                main.execute { if (turn.wanted) screen = Screen.Measuring(model, done, null, null) }
            }
            return turn.wanted
        }
    }

    private fun closeOpened() {
        opened?.close()
        opened = null
    }

    private fun Result<*>.problem(): Problem? = exceptionOrNull()?.let(::problemOf)

    private companion object {
        /** So long a pause between letters is the end of a thought. */
        const val PAUSE_MILLIS = 150L
        const val STEP = 0.01
    }
}
