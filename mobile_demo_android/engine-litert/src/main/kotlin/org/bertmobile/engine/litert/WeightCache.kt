package org.bertmobile.engine.litert

import java.io.File
import java.io.IOException
import java.security.MessageDigest

/**
 * XNNPACK's packed weights on disk, which all buckets and later loads map into memory.
 *
 * XNNPACK trusts the file that it is given: a truncated one may crash it, and one packed from other weights gives wrong
 * answers. So a cache is named after what its content depends on, built under another name, and used only while its
 * size and time are those that it had when it was finished, which its name records.
 *
 * @property file where the weights are, or are to be packed into.
 * @property finished whether they are there.
 */
internal class WeightCache private constructor(
    private val folder: File,
    private val key: String,
    var file: File,
    var finished: Boolean,
) {
    /** Whether the disk can hold what is not there yet: packed weights are up to twice as large as the model. */
    fun hasRoom(modelBytes: Long): Boolean = finished || folder.usableSpace > ROOM * modelBytes

    /** Let later loads find what was packed; call it when the model is loaded. */
    fun finish() {
        if (finished || !file.isFile) return
        val named = stamped(folder, key, file)
        if (file.renameTo(named)) {
            file = named
            finished = true
        }
    }

    /** Remove the file, which could not be used. */
    fun discard() {
        file.delete()
    }

    companion object {
        private const val SUFFIX = ".xnnpack"
        private const val UNFINISHED = ".building"
        private const val ROOM = 3

        // Packing takes seconds: what is older was left by a process that was ended.
        private const val ABANDONED_MILLISECONDS = 3_600_000L

        /**
         * The cache of one model.
         *
         * @param modelSha256 the model file's hash.
         * @throws IOException the folder cannot be written to.
         */
        fun of(folder: File, modelSha256: String): WeightCache {
            if (!folder.isDirectory && !folder.mkdirs()) throw IOException("cannot make $folder")
            val files = folder.listFiles() ?: throw IOException("cannot list $folder")
            val now = System.currentTimeMillis()
            for (file in files) {
                if (UNFINISHED in file.name && now - file.lastModified() > ABANDONED_MILLISECONDS) file.delete()
            }
            val key = key(modelSha256)
            var found: File? = null
            for (file in files) {
                if (!file.name.startsWith("$key-") || !file.name.endsWith(SUFFIX)) continue
                if (file.length() > 0 && file == stamped(folder, key, file)) found = file else file.delete()
            }
            if (found != null) return WeightCache(folder, key, found, finished = true)
            val new = File.createTempFile(key, UNFINISHED, folder)
            // XNNPACK takes an existing file for a finished one.
            new.delete()
            return WeightCache(folder, key, new, finished = false)
        }

        private fun stamped(folder: File, key: String, file: File) =
            File(folder, "$key-${file.length()}-${file.lastModified()}$SUFFIX")

        /** The processor's instruction sets choose the kernels, and those how weights are packed. */
        private fun key(modelSha256: String): String {
            val parts = "$modelSha256\n${System.getProperty("os.arch")}\n${instructionSets()}"
            val digest = MessageDigest.getInstance("SHA-256").digest(parts.encodeToByteArray())
            return digest.take(KEY_BYTES).joinToString("") { "%02x".format(it) }
        }

        private fun instructionSets(): String = try {
            File("/proc/cpuinfo").useLines { lines ->
                lines.firstOrNull { it.startsWith("flags") || it.startsWith("Features") }.orEmpty()
            }
        } catch (_: IOException) {
            ""
        }

        private const val KEY_BYTES = 16
    }
}
