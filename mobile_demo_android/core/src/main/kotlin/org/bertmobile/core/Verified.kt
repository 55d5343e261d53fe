package org.bertmobile.core

import java.io.File
import java.io.IOException

/**
 * Opens bundles, and hashes the files of each only once.
 *
 * What was hashed is remembered in a folder of the app's, for the bundle as it was then: its place, its manifest, and
 * each file's size and time. A bundle that differs in any of that is hashed again. Names and sizes are checked at every
 * opening.
 *
 * @param folder where to remember; only the app may be able to write there.
 */
class Verified(private val folder: File) {
    /**
     * Open a bundle, as [Bundle.open] does.
     *
     * @throws BundleException what [Bundle.open] throws.
     */
    fun open(bundle: File, allowUnverified: Boolean = false): Bundle {
        val marker = File(folder, sha256(bundle.absolutePath.encodeToByteArray()) + SUFFIX)
        val state = state(bundle)
        val known = state != null && read(marker) == state
        val opened = Bundle.open(bundle, verify = !known, allowUnverified = allowUnverified)
        if (!known && state != null) remember(marker, state)
        return opened
    }

    /** What the bundle is now; null where it cannot be read, which opening it explains. */
    private fun state(bundle: File): String? {
        val manifest = read(File(bundle, Manifest.FILE)) ?: return null
        val lines = bundle.walkTopDown().filter(File::isFile).sorted()
            .map { "${it.toRelativeString(bundle)} ${it.length()} ${it.lastModified()}" }
        return sha256((listOf(manifest) + lines).joinToString("\n").encodeToByteArray())
    }

    /** Nothing is lost but time when this fails. */
    private fun remember(marker: File, state: String) {
        try {
            folder.mkdirs()
            val whole = File.createTempFile("verified", null, folder)
            try {
                whole.writeText(state)
                whole.renameTo(marker)
            } finally {
                whole.delete()
            }
        } catch (_: IOException) {
            return
        }
    }

    private fun read(file: File): String? = try {
        file.readText()
    } catch (_: IOException) {
        null
    }

    private companion object {
        const val SUFFIX = ".verified"
    }
}
