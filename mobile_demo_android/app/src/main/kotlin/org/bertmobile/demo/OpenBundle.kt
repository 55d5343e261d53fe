package org.bertmobile.demo

import org.bertmobile.core.Bundle
import org.bertmobile.core.Engine
import org.bertmobile.core.EngineFacts
import org.bertmobile.core.Golden
import org.bertmobile.core.Manifest
import org.bertmobile.core.TaskName
import org.bertmobile.core.tasks.Context

/** Loads the model of a bundle. */
fun interface EngineFactory {
    /**
     * @param threads of the CPU.
     * @throws org.bertmobile.core.BertMobileException no engine of this app runs the bundle, or it does not load.
     */
    fun open(bundle: Bundle, threads: Int): Engine
}

/**
 * What the screens say about the model that answers.
 *
 * @property bundle what the shelf calls the bundle.
 * @property name what its manifest calls it.
 */
data class ModelFacts(
    val bundle: String,
    val name: String,
    val task: TaskName,
    val maskToken: String,
    val lengths: List<Int>,
    val engine: String,
    val engineVersion: String?,
    val accelerator: String,
    val threads: Int,
) {
    constructor(bundle: String, manifest: Manifest, engine: EngineFacts) : this(
        bundle = bundle,
        name = manifest.name,
        task = manifest.task,
        maskToken = manifest.tokenizer.mask.token,
        lengths = manifest.lengths.toList(),
        engine = engine.name,
        engineVersion = engine.version,
        accelerator = engine.accelerator,
        threads = engine.threads,
    )
}

/** A bundle whose model is loaded. For one thread. */
class OpenBundle private constructor(bundle: Bundle, context: Context) : AutoCloseable {
    private val engine = context.engine
    private val manifest = bundle.manifest
    private val golden: Golden by lazy(LazyThreadSafetyMode.NONE) { bundle.golden() }
    private val answerer = answererOf(context)
    val facts = ModelFacts(bundle.folder.name, manifest, engine.facts)

    /**
     * Answer the texts of the task's fields.
     *
     * @return null as long as a field that is needed is blank.
     * @throws ProblemException a text is too long to be answered while somebody types.
     * @throws org.bertmobile.core.BertMobileException the task cannot answer these texts, and says why.
     */
    fun answer(texts: List<String>): Answer? {
        for (text in texts) {
            if (text.length > LONGEST_TEXT) throw ProblemException(Problem.TooLong(text.length, LONGEST_TEXT))
        }
        val needed = fieldsOf(manifest.task).indices.filterNot { fieldsOf(manifest.task)[it].optional }
        return if (needed.any { texts[it].isBlank() }) null else answerer(texts)
    }

    /** Run the bundle's golden inputs, and compare with its golden answers. */
    fun check(): CheckReport = CheckReport.of(golden.cases, golden.check(manifest, engine))

    /** Run inputs that fill the bucket [length], again and again; see [measure]. */
    fun measure(length: Int, amount: Amount, progress: (Double) -> Boolean): DoubleArray {
        val inputs = fullInputs(manifest, length)
        return measure({ engine.run(inputs) }, amount, progress)
    }

    override fun close() = engine.close()

    companion object {
        /**
         * Load a bundle's model, and run it once on its longest input: what memory it takes, it takes here.
         *
         * @throws org.bertmobile.core.BertMobileException the vocabulary is damaged, or the model does not load or
         *   run.
         */
        fun open(bundle: Bundle, engines: EngineFactory, threads: Int): OpenBundle {
            // Before the model, which takes longer.
            val tokenization = bundle.tokenization()
            val engine = engines.open(bundle, threads)
            return try {
                engine.run(fullInputs(bundle.manifest, bundle.manifest.lengths.last()))
                OpenBundle(bundle, Context(bundle.manifest, tokenization, engine))
            } catch (failure: Throwable) {
                engine.close()
                throw failure
            }
        }
    }
}
