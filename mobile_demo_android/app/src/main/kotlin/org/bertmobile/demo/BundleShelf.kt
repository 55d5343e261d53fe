package org.bertmobile.demo

import java.io.ByteArrayOutputStream
import java.io.File
import java.io.FileNotFoundException
import java.io.IOException
import java.io.InputStream
import java.io.OutputStream
import org.bertmobile.core.Bundle
import org.bertmobile.core.BundleException
import org.bertmobile.core.Manifest
import org.bertmobile.core.Verified

/**
 * The bundles among the app's files: engines need files, so a bundle from elsewhere is copied here once.
 *
 * One that the user chose goes before a packaged one of the same name.
 *
 * @param packaged bundles that came with the app, by name.
 * @param verified remembers whose hashes were compared.
 */
class BundleShelf(folder: File, private val packaged: Map<String, FileTree>, private val verified: Verified) {
    private val unpacked = File(folder, "packaged")
    private val chosen = File(folder, "chosen")

    /** Names of all bundles, packaged and chosen. */
    val names: List<String>
        get() = (packaged.keys + chosen.list().orEmpty().filterNot { it.startsWith(HIDDEN) }).sorted()

    /**
     * Open a bundle, after copying it where it is a packaged one.
     *
     * @throws org.bertmobile.core.BundleException it is damaged, or unknown.
     * @throws ProblemException there is no room for the copy.
     * @throws java.io.IOException it cannot be copied.
     */
    fun open(name: String): Bundle {
        val own = File(chosen, name)
        val tree = packaged[name]
        return if (own.isDirectory || tree == null) verified.open(own) else copied(tree, unpacked)
    }

    /**
     * Copy a bundle that the user chose, whole or not at all, and open it. One that is there already is not copied
     * again.
     *
     * @throws org.bertmobile.core.BundleException it is damaged.
     * @throws ProblemException there is no room for it.
     * @throws java.io.IOException it cannot be copied.
     */
    fun add(tree: FileTree): Bundle = copied(tree, chosen)

    private fun copied(tree: FileTree, into: File): Bundle {
        val text = manifestText(tree)
        val manifest = Manifest.parse(text)
        if (!SAFE_NAME.matches(manifest.name)) {
            throw BundleException("\"${manifest.name}\" is no name for a bundle's folder; export the bundle again")
        }
        val target = File(into, manifest.name)
        // The manifest has the hashes of all files, so an equal one stands for equal files.
        if (File(target, Manifest.FILE).run { isFile && readText() == text }) return verified.open(target)
        val partial = File(into, HIDDEN + manifest.name)
        partial.deleteRecursively()
        try {
            copy(tree, manifest, partial)
            File(partial, Manifest.FILE).writeText(text)
            Bundle.open(partial, verify = false)
            target.deleteRecursively()
            if (!partial.renameTo(target)) throw IOException("$target cannot be made")
        } finally {
            partial.deleteRecursively()
        }
        return try {
            verified.open(target)
        } catch (failure: BundleException) {
            target.deleteRecursively()
            throw failure
        }
    }

    private fun manifestText(tree: FileTree): String {
        val bytes = try {
            tree.open(Manifest.FILE).use { it.readAtMost(LARGEST_MANIFEST) }
        } catch (failure: FileNotFoundException) {
            throw BundleException(
                "this folder is no bundle: it has no ${Manifest.FILE}; choose one that bertmobile-export made",
                failure,
            )
        }
        return bytes.decodeToString()
    }

    private fun copy(tree: FileTree, manifest: Manifest, partial: File) {
        val needed = manifest.files.values.sumOf { it.bytes }
        partial.mkdirs()
        val free = partial.usableSpace
        if (needed > free) throw ProblemException(Problem.NoRoom(needed, free))
        val inside = partial.canonicalPath + File.separator
        for ((path, entry) in manifest.files) {
            val file = File(partial, path)
            // Bundle.open would say so, but only after the file was written there.
            if (!file.canonicalPath.startsWith(inside)) {
                throw BundleException("${Manifest.FILE} lists \"$path\", which leaves the bundle; export it again")
            }
            checkNotNull(file.parentFile).mkdirs()
            tree.open(path).use { from -> file.outputStream().use { from.copyAtMost(entry.bytes, it, path) } }
        }
    }

    private companion object {
        /** Begins the names of unfinished copies. */
        const val HIDDEN = "."
        const val LARGEST_MANIFEST = 4L shl 20
        val SAFE_NAME = Regex("[A-Za-z0-9_][A-Za-z0-9._+-]*")
    }
}

private fun InputStream.readAtMost(bytes: Long): ByteArray {
    val read = ByteArrayOutputStream()
    copyAtMost(bytes, read, Manifest.FILE)
    return read.toByteArray()
}

/** Copy a file that must not be longer than so: what is not listed need not fill the phone. */
private fun InputStream.copyAtMost(bytes: Long, into: OutputStream, name: String) {
    val piece = ByteArray(1 shl 16)
    var copied = 0L
    while (true) {
        val count = read(piece)
        if (count < 0) return
        copied += count
        if (copied > bytes) throw BundleException("$name is longer than $bytes bytes; copy or export the bundle again")
        into.write(piece, 0, count)
    }
}
