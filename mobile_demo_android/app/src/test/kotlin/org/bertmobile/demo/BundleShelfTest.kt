package org.bertmobile.demo

import java.io.File
import java.io.IOException
import java.nio.file.Path
import java.util.concurrent.CancellationException
import org.bertmobile.core.BundleException
import org.bertmobile.core.Verified
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

class BundleShelfTest {
    @TempDir
    lateinit var temporary: Path

    private val folder get() = File(temporary.toFile(), "bundles")

    @Test
    fun `a bundle is copied as it is`() {
        val bundle = shelf().add(treeOf(TestBundles.original))
        val name = bundle.manifest.name
        assertEquals(listOf(Shelved(name, chosen = true)), shelf().tidied())
        val copied = bundle.folder.walk().filter(File::isFile).associate { it.name to it.readText() }
        val original = TestBundles.original.walk().filter(File::isFile).associate { it.name to it.readText() }
        assertEquals(original, copied)
        assertEquals(name, shelf().open(name).manifest.name)
    }

    @Test
    fun `a packaged bundle is copied when it is opened first, and not again`() {
        var opened = 0
        val tree = FileTree { path -> treeOf(TestBundles.original).open(path).also { opened++ } }
        val shelf = shelf(mapOf("packaged" to tree))
        assertEquals(listOf(Shelved("packaged", chosen = false)), shelf.tidied())
        shelf.open("packaged")
        assertEquals(4, opened)
        shelf.open("packaged")
        assertEquals(5, opened, "only the manifest is read again")
    }

    @Test
    fun `another version of a bundle takes its place`() {
        shelf().add(treeOf(TestBundles.original))
        val edited = TestBundles.copy(temporary, TestBundles.replacing("\"good\"", "\"better\""))
        val name = shelf().add(treeOf(edited)).manifest.name
        assertTrue("better" in shelf().open(name).manifest.labels)
    }

    @Test
    fun `a bundle that the user chose goes before a packaged one of its name`() {
        val name = TestBundles.open().manifest.name
        val shelf = shelf(mapOf(name to treeOf(TestBundles.original)))
        assertTrue("good" in shelf.open(name).manifest.labels)
        shelf.add(treeOf(TestBundles.copy(temporary, TestBundles.replacing("\"good\"", "\"better\""))))
        assertTrue("better" in shelf.open(name).manifest.labels)
        assertEquals(listOf(Shelved(name, chosen = true)), shelf.tidied())
    }

    @Test
    fun `a packaged bundle that an update of the app changed is copied again`() {
        val name = TestBundles.open().manifest.name
        shelf(mapOf(name to treeOf(TestBundles.original))).open(name)
        val edited = TestBundles.copy(temporary, TestBundles.replacing("\"good\"", "\"better\""))
        assertTrue("better" in shelf(mapOf(name to treeOf(edited))).open(name).manifest.labels)
    }

    @Test
    fun `a name that nothing has is told`() = refused("the app has no bundle unknown any more") { open("unknown") }

    @Test
    fun `an open bundle's folder is called as the shelf calls it`() {
        val bundle = shelf(mapOf("renamed" to treeOf(TestBundles.original))).open("renamed")
        assertEquals("renamed", bundle.folder.name)
        assertEquals(TestBundles.open().manifest.name, bundle.manifest.name)
    }

    @Test
    fun `a packaged bundle whose copy is damaged is copied again`() {
        val shelf = shelf(mapOf("packaged" to treeOf(TestBundles.original)))
        val model = shelf.open("packaged").model
        model.writeText("cut")
        assertEquals(model, shelf.open("packaged").model)
        assertEquals(TestBundles.open().model.readText(), model.readText())
    }

    @Test
    fun `a damaged bundle is repaired when its folder is chosen again`() {
        val bundle = shelf().add(treeOf(TestBundles.original))
        bundle.model.writeText("no modul\n")
        bundle.model.setLastModified(bundle.model.lastModified() + 2_000)
        assertThrows(BundleException::class.java) { shelf().open(bundle.manifest.name) }
        shelf().add(treeOf(TestBundles.original))
        assertEquals(TestBundles.open().model.readText(), shelf().open(bundle.manifest.name).model.readText())
    }

    @Test
    fun `a damaged bundle does not take the place of a good one`() {
        val name = shelf().add(treeOf(TestBundles.original)).manifest.name
        val damaged = TestBundles.copy(temporary, TestBundles.replacing("\"good\"", "\"better\""))
        File(damaged, "model.tflite").writeText("no modul\n")
        val failure = assertThrows(BundleException::class.java) { shelf().add(treeOf(damaged)) }
        assertTrue("was changed" in failure.message!!, failure.message)
        assertTrue("good" in shelf().open(name).manifest.labels)
    }

    @Test
    fun `what an update does not package any more is removed`() {
        val tree = treeOf(TestBundles.original)
        val old = shelf(mapOf("old" to tree, "kept" to tree)).run { listOf("old", "kept").map(::open) }
        assertEquals(listOf(Shelved("kept", chosen = false)), shelf(mapOf("kept" to tree)).tidied())
        assertEquals(listOf(false, true), old.map { it.folder.exists() })
    }

    @Test
    fun `a copy over which a process ended is removed`() {
        for (parent in listOf("chosen", "packaged")) {
            File(folder, "$parent/.bundle").resolve("model.tflite").run {
                assertTrue(parentFile.mkdirs() && createNewFile())
            }
        }
        assertEquals(emptyList<Shelved>(), shelf().tidied())
        assertNothingLeft()
    }

    @Test
    fun `a bundle that the user chose can be removed, and the packaged one is back`() {
        val name = TestBundles.open().manifest.name
        val shelf = shelf(mapOf(name to treeOf(TestBundles.original)))
        shelf.add(treeOf(TestBundles.copy(temporary, TestBundles.replacing("\"good\"", "\"better\""))))
        shelf.remove(name)
        assertNothingLeft()
        assertEquals(listOf(Shelved(name, chosen = false)), shelf.tidied())
        assertTrue("good" in shelf.open(name).manifest.labels)
    }

    @Test
    fun `a copy that is not wanted any more ends and leaves nothing`() {
        val asked = ArrayList<String>()
        assertThrows(CancellationException::class.java) {
            shelf().add({ path -> treeOf(TestBundles.original).open(path).also { asked.add(path) } }) { asked.size < 2 }
        }
        assertEquals(2, asked.size, "$asked")
        assertNothingLeft()
    }

    @Test
    fun `a folder without a manifest is no bundle`() = refused("this folder is no bundle") {
        add(treeOf(temporary.toFile()))
    }

    @Test
    fun `a newer version of the format is refused`() = refused("has schema version 2, this app reads 1") {
        val newer = TestBundles.replacing("\"schema_version\": 1", "\"schema_version\": 2")
        add(treeOf(TestBundles.copy(temporary, newer)))
    }

    @Test
    fun `a task that the app does not know is refused`() = refused("task is not one of") {
        add(treeOf(TestBundles.copy(temporary, TestBundles.replacing("text-classification", "translation"))))
    }

    @Test
    fun `a changed file is refused, and the copy removed`() = refused("was changed") {
        val source = TestBundles.copy(temporary)
        File(source, "model.tflite").writeText("no modul\n")
        add(treeOf(source))
    }

    @Test
    fun `a file that is shorter than listed is refused`() = refused("has 3 bytes, its manifest says 9") {
        val source = TestBundles.copy(temporary)
        File(source, "model.tflite").writeText("cut")
        add(treeOf(source))
    }

    @Test
    fun `a file is copied no further than its listed length`() = refused("model.tflite is longer than 9 bytes") {
        val endless = object : java.io.InputStream() {
            override fun read() = 0
        }
        add(FileTree { if (it == "model.tflite") endless else treeOf(TestBundles.original).open(it) })
    }

    @Test
    fun `a path that leaves the bundle is not written`() = refused("which leaves the bundle") {
        val edited = TestBundles.copy(temporary, TestBundles.replacing("\"model.tflite\": {", "\"../../evil\": {"))
        add(FileTree { if (it.endsWith("evil")) "evil".byteInputStream() else treeOf(edited).open(it) })
    }

    @Test
    fun `a name that leaves the folder is refused`() = refused("is no name for a bundle's folder") {
        val name = TestBundles.open().manifest.name
        add(treeOf(TestBundles.copy(temporary, TestBundles.replacing("\"name\": \"$name\"", "\"name\": \"../up\""))))
    }

    @Test
    fun `a bundle that does not fit is refused before it is copied`() {
        val edited = TestBundles.copy(temporary, TestBundles.replacing("\"bytes\": 9", "\"bytes\": 4000000000000000"))
        val failure = assertThrows(ProblemException::class.java) { shelf().add(treeOf(edited)) }
        val problem = failure.problem as Problem.NoRoom
        assertTrue(problem.needed > 4_000_000_000_000_000 && problem.free < problem.needed, "$problem")
        assertNothingLeft()
    }

    @Test
    fun `a copy that is broken off leaves nothing`() {
        assertThrows(IOException::class.java) {
            shelf().add(
                FileTree {
                    if (it == "vocab.txt") throw IOException("unplugged") else treeOf(TestBundles.original).open(it)
                },
            )
        }
        assertNothingLeft()
    }

    private fun shelf(packaged: Map<String, FileTree> = emptyMap()) =
        BundleShelf(folder, packaged, Verified(File(temporary.toFile(), "verified")))

    private fun refused(message: String, action: BundleShelf.() -> Unit) {
        val failure = assertThrows(BundleException::class.java) { shelf().action() }
        assertTrue(message in failure.message!!, failure.message)
        assertNothingLeft()
        assertFalse(File(temporary.toFile(), "evil").exists())
    }

    private fun assertNothingLeft() = assertEquals(emptyList<File>(), folder.walk().filter(File::isFile).toList())
}
