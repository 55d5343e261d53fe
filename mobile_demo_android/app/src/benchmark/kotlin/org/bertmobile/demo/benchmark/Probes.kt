package org.bertmobile.demo.benchmark

import java.io.File
import java.util.zip.ZipFile

/** What the phone tells about the app's process; null is what it does not tell. */
interface Probes {
    /** The most memory that was resident at once. */
    fun peakBytes(): Long?

    /** Memory of the process now, with its share of what it shares with others. */
    fun pssBytes(): Long?

    /** Android's thermal status, from 0 (none) to 6. */
    fun thermalStatus(): Int?

    /** Of an engine's native libraries in the app. */
    fun engineBytes(engine: String): Long?

    /** Since the process was started. */
    fun secondsAlive(): Double?
}

/** `VmHWM` of a process, from a file such as `/proc/self/status`. */
fun peakBytes(status: File): Long? {
    val line = status.readLines().firstOrNull { it.startsWith(PEAK) } ?: return null
    return line.removePrefix(PEAK).trim().removeSuffix(" kB").toLongOrNull()?.times(KIBIBYTE)
}

/**
 * How large the native libraries of an engine are, before they are compressed.
 *
 * @param packages the APKs that the app consists of.
 * @param abis of the phone, best first; the first that the app has libraries for counts.
 * @param engine a part of the libraries' names, whatever their case.
 */
fun libraryBytes(packages: List<File>, abis: List<String>, engine: String): Long? {
    val sizes = HashMap<String, Long>()
    for (file in packages) {
        ZipFile(file).use { apk -> for (entry in apk.entries()) sizes[entry.name] = entry.size }
    }
    return abis.firstNotNullOfOrNull { abi ->
        val own = sizes.filterKeys { it.startsWith("lib/$abi/") && engine in it.substringAfterLast('/').asciiLower() }
        own.values.sum().takeIf { own.isNotEmpty() }
    }
}

/** Names of libraries are ASCII, and no language's rules may change that. */
private fun String.asciiLower(): String =
    String(CharArray(length) { if (this[it] in 'A'..'Z') this[it] + ('a' - 'A') else this[it] })

private const val PEAK = "VmHWM:"
private const val KIBIBYTE = 1024L
