package org.bertmobile.core

import java.io.File
import java.io.IOException
import java.security.MessageDigest

/** A bundle: a folder that is what its manifest says. */
class Bundle private constructor(val folder: File, val manifest: Manifest) {
    /** The model file, or the folder of a package. */
    val model: File get() = File(folder, manifest.modelFile)

    /** The bundle's tokenizer. */
    fun tokenization(): Tokenization =
        Tokenization(manifest, Vocabulary.parse(readText(folder, "vocab.txt"), manifest.tokenizer))

    /** Inputs and outputs that a device checks itself against. */
    fun golden(): Golden = Golden.parse(readText(folder, Golden.FILE), File(folder, Golden.FILE).path)

    companion object {
        /**
         * Open a bundle after checking it.
         *
         * @param verify compare the SHA-256 of every file with the manifest, which reads them once; verdict, names and
         *   sizes are checked either way. [Verified] remembers for which bundles it was done.
         * @param allowUnverified accept a bundle whose verdict is pending or failed.
         * @throws BundleException a verdict that is not accepted; a file that is missing, not listed, changed,
         *   unreadable or outside the folder.
         */
        fun open(folder: File, verify: Boolean = true, allowUnverified: Boolean = false): Bundle {
            val path = File(folder, Manifest.FILE)
            if (!path.isFile) {
                throw BundleException(
                    "$folder is not a bundle: it has no ${Manifest.FILE}; export one with bertmobile-export",
                )
            }
            val manifest = Manifest.parse(readText(folder, Manifest.FILE), path.path)
            checkVerdict(manifest, allowUnverified)
            checkFiles(folder, manifest)
            if (verify) checkHashes(folder, manifest)
            return Bundle(folder, manifest)
        }
    }
}

private const val AGAIN = JsonFields.EXPORT_AGAIN

private fun checkVerdict(manifest: Manifest, allowUnverified: Boolean) {
    if (manifest.verdict == Verdict.PASSED || allowUnverified) return
    val cause =
        if (manifest.verdict == Verdict.PENDING) "was never compared with its source model"
        else "differs from its source model by more than its recipe allows"
    throw BundleException(
        "${manifest.name} $cause (verdict ${manifest.verdict.spelling}); export it again, " +
            "or open it all the same with allowUnverified = true",
    )
}

private fun checkFiles(folder: File, manifest: Manifest) {
    for (listed in manifest.files.keys) checkInside(folder, listed)
    val present = HashSet<String>()
    reading(folder) { listFiles(it, "", present) }
    for (listed in manifest.files.keys) {
        if (listed !in present) throw BundleException("${File(folder, listed)} is missing; $AGAIN")
    }
    for (name in present) {
        if (name !in manifest.files) {
            throw BundleException("${File(folder, name)} is not listed in ${Manifest.FILE}; remove the file, or $AGAIN")
        }
    }
    if (manifest.files.keys.none { it == manifest.modelFile || it.startsWith(manifest.modelFile + "/") }) {
        throw BundleException("${File(folder, manifest.modelFile)} is missing from ${Manifest.FILE}; $AGAIN")
    }
    // A truncated copy is found without reading the large files.
    for ((listed, entry) in manifest.files) {
        val size = File(folder, listed).length()
        if (size != entry.bytes) {
            throw BundleException("${File(folder, listed)} has $size bytes, its manifest says ${entry.bytes}; $AGAIN")
        }
    }
}

private fun checkHashes(folder: File, manifest: Manifest) {
    for ((listed, entry) in manifest.files) {
        if (reading(File(folder, listed), ::sha256) != entry.sha256) {
            throw BundleException("${File(folder, listed)} was changed: its SHA-256 is not the manifest's; $AGAIN")
        }
    }
}

/** A manifest may come from anywhere: never follow it, or a link, out of the folder. */
private fun checkInside(folder: File, listed: String) {
    val plain = listed.split('/').none { it.isEmpty() || it == "." || it == ".." } && UnicodeTables.isPrintable(listed)
    if (plain) {
        val (path, inside) = reading(folder) { File(it, listed).canonicalPath to it.canonicalPath + File.separator }
        if (path.startsWith(inside)) return
    }
    throw BundleException("${File(folder, Manifest.FILE)} lists \"$listed\", which leaves the bundle; $AGAIN")
}

/** Paths in the folder except the manifest's; a link to a folder counts as a file. */
private fun listFiles(folder: File, prefix: String, found: MutableSet<String>) {
    val children = folder.listFiles() ?: throw IOException("no such folder")
    for (child in children) {
        val name = prefix + child.name
        // Not java.nio's isSymbolicLink, which Android has from version 8 only.
        val link = child.canonicalFile != File(folder.canonicalFile, child.name)
        if (child.isDirectory && !link) {
            listFiles(child, "$name/", found)
        } else if (name != Manifest.FILE) {
            found.add(name)
        }
    }
}

private fun sha256(file: File): String {
    val digest = MessageDigest.getInstance("SHA-256")
    val piece = ByteArray(1 shl 16)
    file.inputStream().use { stream ->
        while (true) {
            val count = stream.read(piece)
            if (count < 0) break
            digest.update(piece, 0, count)
        }
    }
    return digest.digest().toHexString()
}

internal fun sha256(bytes: ByteArray): String = MessageDigest.getInstance("SHA-256").digest(bytes).toHexString()

/** A file that has to be UTF-8. */
private fun readText(folder: File, name: String): String =
    reading(File(folder, name)) { it.readBytes().decodeToString(throwOnInvalidSequence = true) }

private inline fun <T> reading(file: File, action: (File) -> T): T = try {
    action(file)
} catch (failure: IOException) {
    throw BundleException("$file cannot be read (${failure.message}); $AGAIN", failure)
}
