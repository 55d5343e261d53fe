package org.bertmobile.demo

import java.io.ByteArrayOutputStream
import java.io.File
import java.io.FileNotFoundException
import java.io.IOException
import java.io.InputStream
import java.io.OutputStream
import java.util.concurrent.CancellationException
import org.bertmobile.core.Bundle
import org.bertmobile.core.BundleException
import org.bertmobile.core.Manifest
import org.bertmobile.core.Verified

/** A bundle that is opened by its [name]. One that the user chose is a copy, and can be removed. */
data class Shelved(val name: String, val chosen: Boolean)

/**
 * The bundles among the app's files: engines need files, so a bundle from elsewhere is copied here once.
 *
 * One that the user chose goes before a packaged one of the same name. The folder of an open bundle is called as the
 * bundle is here, whatever its manifest calls it. For one thread at a time.
 *
 * @param packaged bundles that came with the app, by name.
 * @param verified remembers whose hashes were compared.
 */
class BundleShelf(folder: File, private val packaged: Map<String, FileTree>, private val verified: Verified) {
    private val unpacked = File(folder, "packaged")
    private val chosen = File(folder, "chosen")

    /** All bundles, by name, and no others: what is left of older ones and of unfinished copies is removed. */
    fun tidied(): List<Shelved> {
        unpacked.listFiles().orEmpty().filterNot { it.name in packaged }.forEach { it.deleteRecursively() }
        chosen.listFiles().orEmpty().filter { it.name.startsWith(HIDDEN) }.forEach { it.deleteRecursively() }
        val own = chosen.list().orEmpty().toSet()
        return (packaged.keys + own).sorted().map { Shelved(it, it in own) }
    }

    /**
     * Open a bundle, after copying it where it is a packaged one.
     *
     * @param wanted false ends the copying.
     * @throws org.bertmobile.core.BundleException it is damaged, or unknown.
     * @throws ProblemException there is no room for the copy.
     * @throws java.io.IOException it cannot be copied.
     * @throws CancellationException it is not [wanted] any more.
     */
    fun open(name: String, wanted: () -> Boolean = { true }): Bundle {
        val own = File(chosen, name)
        if (own.isDirectory) return verified.open(own)
        val tree = packaged[name]
            ?: throw BundleException("the app has no bundle $name any more; open another, or choose its folder again")
        return copied(tree, wanted) { File(unpacked, name) }
    }

    /**
     * Copy a bundle that the user chose, whole or not at all, and open it. One that is there already, and is not
     * damaged, is not copied again.
     *
     * @param wanted false ends the copying.
     * @throws org.bertmobile.core.BundleException it is damaged.
     * @throws ProblemException there is no room for it.
     * @throws java.io.IOException it cannot be copied.
     * @throws CancellationException it is not [wanted] any more.
     */
    fun add(tree: FileTree, wanted: () -> Boolean = { true }): Bundle = copied(tree, wanted) { manifest ->
        if (!SAFE_NAME.matches(manifest.name)) {
            throw BundleException("\"${manifest.name}\" is no name for a bundle's folder; export the bundle again")
        }
        File(chosen, manifest.name)
    }

    /**
     * Remove a bundle that the user chose.
     *
     * @throws java.io.IOException its files cannot be removed.
     */
    fun remove(name: String) {
        if (!File(chosen, name).deleteRecursively()) throw IOException("$name cannot be removed")
    }

    private fun copied(tree: FileTree, wanted: () -> Boolean, targetOf: (Manifest) -> File): Bundle {
        val text = manifestText(tree)
        val manifest = Manifest.parse(text)
        val target = targetOf(manifest)
        // The manifest has the hashes of all files, so an equal one stands for equal files, unless those are damaged.
        if (File(target, Manifest.FILE).run { isFile && readText() == text }) {
            try {
                return verified.open(target)
            } catch (_: BundleException) {
                // A new copy repairs it.
            }
        }
        val partial = File(target.parentFile, HIDDEN + target.name)
        partial.deleteRecursively()
        try {
            copy(tree, manifest, partial, wanted)
            writeThrough(File(partial, Manifest.FILE)) { it.write(text.encodeToByteArray()) }
            // With its hashes: what is there gives way to a whole bundle only.
            Bundle.open(partial)
            target.deleteRecursively()
            if (!partial.renameTo(target)) throw IOException("$target cannot be made")
        } finally {
            partial.deleteRecursively()
        }
        return verified.open(target)
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

    private fun copy(tree: FileTree, manifest: Manifest, partial: File, wanted: () -> Boolean) {
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
            tree.open(path).use { from -> writeThrough(file) { from.copyAtMost(entry.bytes, it, path, wanted) } }
        }
    }

    private companion object {
        /** Begins the names of unfinished copies. */
        const val HIDDEN = "."
        const val LARGEST_MANIFEST = 4L shl 20
        val SAFE_NAME = Regex("[A-Za-z0-9_][A-Za-z0-9._+-]*")
    }
}

/** Write a file that a loss of power does not cut short once this is done. */
private fun writeThrough(file: File, write: (OutputStream) -> Unit) = file.outputStream().use {
    write(it)
    it.fd.sync()
}

private fun InputStream.readAtMost(bytes: Long): ByteArray {
    val read = ByteArrayOutputStream()
    copyAtMost(bytes, read, Manifest.FILE) { true }
    return read.toByteArray()
}

/** Copy a file that must not be longer than so: what is not listed need not fill the phone. */
private fun InputStream.copyAtMost(bytes: Long, into: OutputStream, name: String, wanted: () -> Boolean) {
    val piece = ByteArray(1 shl 16)
    var copied = 0L
    while (true) {
        if (!wanted()) throw CancellationException("$name is not wanted any more")
        val count = read(piece)
        if (count < 0) return
        copied += count
        if (copied > bytes) throw BundleException("$name is longer than $bytes bytes; copy or export the bundle again")
        into.write(piece, 0, count)
    }
}
