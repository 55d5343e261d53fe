package org.bertmobile.demo

import java.io.File
import org.bertmobile.demo.benchmark.JobRunner
import org.bertmobile.demo.benchmark.Probes
import org.bertmobile.demo.benchmark.doJob
import org.bertmobile.demo.benchmark.peakBytes
import org.bertmobile.engine.engine

/** Readings of a phone on this machine. */
private object StandInProbes : Probes {
    override fun peakBytes() = peakBytes(File("/proc/self/status"))

    override fun pssBytes() = 1_000_000L

    override fun thermalStatus() = 0

    override fun engineBytes(engine: String) = 2L

    override fun secondsAlive() = 0.5
}

/**
 * The benchmark build as its activity starts it, with the engines of a JVM: `TEMPORARY LOCAL JOB LOG`.
 *
 * The folder TEMPORARY of the device, and of its paths in the job, is LOCAL here.
 */
fun main(arguments: Array<String>) {
    val (temporary, local, path, log) = arguments
    val job = File(path.replace(temporary, local))
    job.writeText(job.readText().replace(temporary, local))
    val cache = File(local, "cache").apply { mkdirs() }
    val runner = JobRunner({ bundle, _ -> engine(bundle, cache) }, StandInProbes)
    doJob(job, File(local, "app-files"), runner) { File(log).appendText("$it\n") }
    cache.deleteRecursively()
}
