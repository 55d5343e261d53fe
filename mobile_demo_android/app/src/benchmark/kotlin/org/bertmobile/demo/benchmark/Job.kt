package org.bertmobile.demo.benchmark

import java.io.File
import org.bertmobile.core.BertMobileException
import org.bertmobile.core.UsageException
import org.bertmobile.core.parseJson

/** A bundle of a job: its folder, and files of tensors with the inputs to time and those to answer. */
data class JobBundle(val name: String, val folder: File, val inputs: File, val golden: File)

/**
 * What `bertmobile-bench` asks for; `app-job.schema.json` explains each field.
 *
 * @property results the folder to write into.
 */
data class Job(
    val threads: Int,
    val runs: Int,
    val seconds: Double,
    val turnSeconds: Double,
    val warmUpRuns: Int,
    val results: File,
    val bundles: List<JobBundle>,
) {
    companion object {
        private const val SCHEMA_VERSION = 1L

        /**
         * Read a job.
         *
         * @throws UsageException it is none, or of another version.
         */
        fun parse(json: String): Job {
            val document = try {
                parseJson(json)
            } catch (failure: BertMobileException) {
                throw UsageException("the job is not valid JSON (${failure.message}); start it with bertmobile-bench")
            }
            val fields = Fields(document)
            val version = fields.whole("schema_version", least = 0)
            if (version != SCHEMA_VERSION) {
                throw UsageException(
                    "the job has schema version $version, this app reads $SCHEMA_VERSION; " +
                        "build the app and bertmobile-bench from the same source",
                )
            }
            fields.text("workload")
            return Job(
                threads = fields.whole("threads", least = 1).toInt(),
                runs = fields.whole("runs", least = 1).toInt(),
                seconds = fields.number("seconds"),
                turnSeconds = fields.number("turn_seconds"),
                warmUpRuns = fields.whole("warm_up_runs", least = 0).toInt(),
                results = File(fields.text("results")),
                bundles = fields.list("bundles").map { bundle(Fields(it)) },
            )
        }

        private fun bundle(fields: Fields) = JobBundle(
            name = fields.text("name"),
            folder = File(fields.text("path")),
            inputs = File(fields.text("inputs")),
            golden = File(fields.text("golden")),
        )
    }
}

private class Fields(document: Any?) {
    private val fields = document as? Map<*, *> ?: wrong("the whole of it")

    fun text(name: String): String = fields[name] as? String ?: wrong(name)

    fun whole(name: String, least: Long): Long =
        (fields[name] as? Long)?.takeIf { it in least..Int.MAX_VALUE } ?: wrong(name)

    fun number(name: String): Double = (fields[name] as? Number)?.toDouble()?.takeIf { it >= 0 } ?: wrong(name)

    fun list(name: String): List<*> = (fields[name] as? List<*>)?.takeIf { it.isNotEmpty() } ?: wrong(name)

    private fun wrong(name: String): Nothing =
        throw UsageException("the job's $name is missing or wrong; start it with a bertmobile-bench of this version")
}
