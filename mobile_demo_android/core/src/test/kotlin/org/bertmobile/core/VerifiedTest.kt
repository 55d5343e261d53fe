package org.bertmobile.core

import java.io.File
import java.nio.file.Path
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

class VerifiedTest {
    @TempDir
    lateinit var temporary: Path

    private val folder get() = temporary.resolve("bundle").toFile()
    private val model get() = File(folder, "model.tflite")
    private val markers get() = temporary.resolve("files/verified").toFile()

    @BeforeEach
    fun copy() {
        Vectors.bundle.copyRecursively(folder)
    }

    @Test
    fun `files that were hashed once are not hashed again`() {
        open()
        changeUnseen()
        open()
    }

    @Test
    fun `a changed file is hashed again`() {
        open()
        model.writeText("no modul\n")
        model.setLastModified(model.lastModified() + 2_000)
        refused("was changed")
    }

    @Test
    fun `sizes are checked although the files were hashed`() {
        open()
        model.writeText("longer than it was\n")
        refused("has 19 bytes")
    }

    @Test
    fun `another manifest is another bundle`() {
        open()
        changeUnseen()
        File(folder, Manifest.FILE).appendText(" ")
        refused("was changed")
    }

    @Test
    fun `a copy in another place is hashed`() {
        open()
        changeUnseen()
        val moved = temporary.resolve("moved").toFile()
        assertTrue(folder.renameTo(moved))
        assertThrows(BundleException::class.java) { Verified(markers).open(moved) }
    }

    @Test
    fun `a damaged bundle is not remembered`() {
        model.writeText("no modul\n")
        repeat(2) { refused("was changed") }
        assertEquals(0, markers.list().orEmpty().size)
    }

    @Test
    fun `the verdict counts although the files were hashed`() {
        val manifest = File(folder, Manifest.FILE)
        manifest.writeText(manifest.readText().replace("\"verdict\": \"passed\"", "\"verdict\": \"failed\""))
        Verified(markers).open(folder, allowUnverified = true)
        refused("verdict failed")
    }

    @Test
    fun `where nothing can be remembered bundles are opened all the same`() {
        markers.parentFile.mkdirs()
        markers.writeText("a file, no folder")
        repeat(2) { open() }
    }

    private fun open() = Verified(markers).open(folder)

    /** What only a hash would find. */
    private fun changeUnseen() {
        val time = model.lastModified()
        model.writeText("no modul\n")
        model.setLastModified(time)
    }

    private fun refused(message: String) {
        val failure = assertThrows(BundleException::class.java) { open() }
        assertTrue(message in failure.message!!, failure.message)
    }
}
