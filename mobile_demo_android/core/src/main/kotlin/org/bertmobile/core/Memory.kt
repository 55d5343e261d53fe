package org.bertmobile.core

import java.io.File
import java.io.IOException

/**
 * Refuse a model that cannot fit: Android ends an app that takes the last memory, and says nothing.
 *
 * @param model the model file; a library needs at least as much memory as it is large.
 * @param available bytes that can be had, or null where nobody knows.
 * @throws EngineException there is less memory than the model is large.
 */
fun requireMemoryFor(model: File, available: Long? = availableMemory()) {
    if (available != null && model.length() > available) {
        throw EngineException(
            "no memory for ${model.name}: it needs ${megabytes(model.length())} MB and ${megabytes(available)} MB " +
                "are free; close other apps, or export the bundle with a smaller recipe such as int8",
        )
    }
}

/**
 * Run what may find no memory.
 *
 * @param purpose what it is for, as in "no memory to ...".
 * @throws EngineException instead of [OutOfMemoryError].
 */
inline fun <T> withMemory(purpose: String, action: () -> T): T = try {
    action()
} catch (failure: OutOfMemoryError) {
    throw EngineException("no memory to $purpose; close other apps, or export a smaller model", failure)
}

/** Bytes that Linux can give without taking them from a process, or null where that is not known. */
internal fun availableMemory(meminfo: File = File("/proc/meminfo")): Long? {
    val lines = try {
        meminfo.readLines()
    } catch (_: IOException) {
        return null
    }
    val line = lines.firstOrNull { it.startsWith(AVAILABLE) } ?: return null
    return line.removePrefix(AVAILABLE).filter { it in '0'..'9' }.toLongOrNull()?.times(KIBIBYTE)
}

private const val AVAILABLE = "MemAvailable:"
private const val KIBIBYTE = 1024L

private fun megabytes(bytes: Long): Long = bytes / 1_000_000
