package org.bertmobile.demo.benchmark

import java.io.File
import org.bertmobile.core.Bundle
import org.bertmobile.core.Engine
import org.bertmobile.core.IntTensor
import org.bertmobile.core.UsageException
import org.bertmobile.demo.EngineFactory

/** Does what a job asks for (docs/device-protocol.md). */
class JobRunner(
    private val engines: EngineFactory,
    private val probes: Probes,
    private val clock: () -> Long = System::nanoTime,
) {
    /**
     * Measure the bundles of a job, and write their golden answers into the folder.
     *
     * @throws org.bertmobile.core.BertMobileException a bundle or a file is not what it should be.
     * @throws java.io.IOException a file cannot be read or written.
     */
    fun run(job: Job, folder: ResultsFolder): List<BundleResult> {
        val thermalBefore = probes.thermalStatus()
        val loaded = ArrayList<Loaded>()
        try {
            for (bundle in job.bundles) loaded.add(load(bundle, job.threads, first = loaded.isEmpty()))
            takeTurns(loaded.map { it.contender }, job)
            // Before the golden answers, whose outputs are kept, while a run's are not.
            val peak = probes.peakBytes()
            val pss = probes.pssBytes()
            val thermal = listOfNotNull(thermalBefore, probes.thermalStatus()).maxOrNull()
            return loaded.mapIndexed { index, each ->
                val answers = if (folder.writable) "$index.answers" else null
                answers?.let { writeAnswers(each, folder, it) }
                BundleResult(
                    name = each.bundle.name,
                    engine = each.engine.facts.name,
                    engineVersion = each.engine.facts.version,
                    engineBytes = probes.engineBytes(each.engine.facts.name),
                    loadSeconds = each.loadSeconds,
                    coldStartSeconds = each.coldStartSeconds,
                    peakBytes = peak,
                    pssBytes = pss,
                    thermalStatus = thermal,
                    rounds = each.contender.rounds,
                    answers = answers,
                )
            }
        } finally {
            for (each in loaded) each.engine.close()
        }
    }

    private fun load(bundle: JobBundle, threads: Int, first: Boolean): Loaded {
        val before = clock()
        // The host has compared the hashes of what it sent, and measures bundles of any verdict.
        val opened = Bundle.open(bundle.folder, verify = false, allowUnverified = true)
        val engine = engines.open(opened, threads)
        try {
            val loadSeconds = (clock() - before) / 1e9
            val inputs = readInputs(bundle.inputs).map { it.tensors }
            if (inputs.isEmpty()) throw UsageException("${bundle.inputs.name} holds no inputs; run again")
            engine.run(inputs.first())
            val coldStart = if (first) probes.secondsAlive() else null
            return Loaded(bundle, engine, loadSeconds, coldStart, Contender(clock, InTurn(engine, inputs)::run))
        } catch (failure: Throwable) {
            engine.close()
            throw failure
        }
    }

    private fun writeAnswers(loaded: Loaded, folder: ResultsFolder, name: String) {
        val cases = readInputs(loaded.bundle.golden)
        val answers = cases.asSequence().map { Sample(it.signature, loaded.engine.run(it.tensors)) }
        writeOutputs(folder.file(name), cases.size, answers)
    }

    private class Loaded(
        val bundle: JobBundle,
        val engine: Engine,
        val loadSeconds: Double,
        val coldStartSeconds: Double?,
        val contender: Contender,
    )

    /** Runs one input after the other, and begins again after the last. */
    private class InTurn(private val engine: Engine, private val inputs: List<Map<String, IntTensor>>) {
        private var next = 0

        fun run() {
            engine.run(inputs[next])
            next = (next + 1) % inputs.size
        }
    }
}

/**
 * Do the job of a file, and write the result or why there is none; nothing is thrown.
 *
 * @param file the job, in the folder of its run.
 * @param appFiles where the app may write; a job that cannot be read has its error there, under its run's name.
 * @param log takes lines of the result where the folder cannot be written.
 */
fun doJob(file: File, appFiles: File, runner: JobRunner, log: (String) -> Unit) {
    var folder: ResultsFolder? = null
    val document = try {
        val job = Job.parse(file.readText())
        val results = ResultsFolder(job.results, log)
        folder = results
        resultJson(runner.run(job, results))
    } catch (failure: Throwable) {
        // Errors of the virtual machine, such as no memory for the model, are results as well.
        errorJson(failure.message ?: failure.javaClass.simpleName)
    }
    (folder ?: ResultsFolder(File(appFiles, file.absoluteFile.parentFile?.name.orEmpty()), log)).finish(document)
}
