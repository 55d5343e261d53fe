package org.bertmobile.demo.benchmark

import java.io.File
import java.io.IOException
import java.util.Locale

/** What was measured of a bundle; `app-result.schema.json` explains each field. */
class BundleResult(
    val name: String,
    val engine: String,
    val engineVersion: String?,
    val engineBytes: Long?,
    val loadSeconds: Double,
    val coldStartSeconds: Double?,
    val peakBytes: Long?,
    val pssBytes: Long?,
    val thermalStatus: Int?,
    val rounds: List<DoubleArray>,
    val answers: String?,
)

/** The document of a job that was done. */
fun resultJson(results: List<BundleResult>): String = json(
    mapOf(
        "schema_version" to 1,
        "bundles" to results.map {
            mapOf(
                "name" to it.name,
                "engine" to it.engine,
                "engine_version" to it.engineVersion,
                "engine_bytes" to it.engineBytes,
                "load_seconds" to it.loadSeconds,
                "cold_start_seconds" to it.coldStartSeconds,
                "peak_bytes" to it.peakBytes,
                "pss_bytes" to it.pssBytes,
                "thermal_status" to it.thermalStatus,
                "rounds" to it.rounds.map(DoubleArray::asList),
                "answers" to it.answers,
            )
        },
    ),
)

/** The document of a job that failed. */
fun errorJson(error: String): String = json(mapOf("schema_version" to 1, "error" to error))

/** JSON in ASCII, so that no part of it depends on how a log is written; seconds to the nanosecond. */
private fun json(value: Any?): String = when (value) {
    is Map<*, *> -> value.entries.joinToString(",", "{", "}") { "${json(it.key)}:${json(it.value)}" }
    is List<*> -> value.joinToString(",", "[", "]", transform = ::json)
    is String -> value.map(::escaped).joinToString("", "\"", "\"")
    is Double -> "%.9f".format(Locale.ROOT, value)
    else -> value.toString()
}

private fun escaped(character: Char): String =
    if (character in ' '..'~' && character != '"' && character != '\\') character.toString()
    else "\\u%04x".format(Locale.ROOT, character.code)

/** Where results go: into a folder, or into the log where the folder cannot be written. */
class ResultsFolder(private val folder: File, private val log: (String) -> Unit) {
    /** Whether files can be written; otherwise there is a log only, and no answers. */
    val writable: Boolean = try {
        folder.mkdirs()
        File(folder, PARTIAL).run { createNewFile() && delete() }
    } catch (_: IOException) {
        false
    } catch (_: SecurityException) {
        false
    }

    /** A file in it. */
    fun file(name: String) = File(folder, name)

    /** Write the document, so that a file of its final name is whole. */
    fun finish(document: String) {
        if (writable) {
            try {
                val partial = file(PARTIAL)
                partial.writeText(document)
                if (partial.renameTo(file(RESULT))) return
            } catch (_: IOException) {
                // The log has it then.
            }
        }
        val parts = document.chunked(LINE)
        for ((index, part) in parts.withIndex()) log("${folder.name} ${index + 1}/${parts.size} $part")
    }

    companion object {
        private const val PARTIAL = "partial"
        private const val RESULT = "result.json"

        /** Android cuts lines off at about 4,000 bytes. */
        private const val LINE = 3_000
    }
}
