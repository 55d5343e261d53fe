package org.bertmobile.core

import java.io.File
import java.nio.file.Files
import java.nio.file.Path
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

class BundleTest {
    @TempDir
    lateinit var temporary: Path

    private val folder get() = temporary.resolve("bundle").toFile()

    @BeforeEach
    fun copy() {
        Vectors.bundle.copyRecursively(folder)
    }

    @Test
    fun `a bundle that is what its manifest says is opened`() {
        val bundle = Bundle.open(folder)
        assertEquals(TaskName.TEXT_CLASSIFICATION, bundle.manifest.task)
        assertEquals(listOf(8, 16), bundle.manifest.lengths.toList())
        assertEquals("s16", bundle.manifest.signatures[16])
        assertEquals(3, bundle.tokenization().encode("keeper").size)
    }

    @Test
    fun `a folder without a manifest is no bundle`() {
        manifest().delete()
        refused("is not a bundle")
    }

    @Test
    fun `a file of another size is named`() {
        model().writeText("no model, but longer\n")
        refused("model.tflite has 21 bytes, its manifest says 9")
    }

    @Test
    fun `a changed file of the same size is named`() {
        model().writeText("no modul\n")
        refused("model.tflite was changed")
    }

    @Test
    fun `hashes can be left out, sizes cannot`() {
        model().writeText("no modul\n")
        Bundle.open(folder, verify = false)
        model().writeText("no model, but longer\n")
        assertThrows(BundleException::class.java) { Bundle.open(folder, verify = false) }
    }

    @Test
    fun `a missing file is named`() {
        model().delete()
        refused("model.tflite is missing")
    }

    @Test
    fun `a file that is not listed is named`() {
        File(folder, "more").mkdir()
        File(folder, "more/file").writeText("")
        refused("more/file is not listed")
    }

    @Test
    fun `a listed path that leaves the folder is refused`() {
        for (path in listOf("../model.tflite", "/etc/hostname", "a/../../b", "./model.tflite", "a//b", "", "a\\nb")) {
            edit { replace("\"model.tflite\": {", "\"$path\": {") }
            refused("leaves the bundle")
        }
    }

    @Test
    fun `a link out of the folder is refused`() {
        val outside = temporary.resolve("outside")
        Files.move(model().toPath(), outside)
        Files.createSymbolicLink(model().toPath(), outside)
        refused("leaves the bundle")
    }

    @Test
    fun `a link to another folder is not followed`() {
        Files.createDirectory(temporary.resolve("other"))
        Files.createSymbolicLink(folder.toPath().resolve("linked"), temporary.resolve("other"))
        refused("linked is not listed")
    }

    @Test
    fun `a bundle without a model is refused`() {
        edit { replace("\"model_file\": \"model.tflite\"", "\"model_file\": \"model.onnx\"") }
        refused("model.onnx is missing from manifest.json")
    }

    @Test
    fun `a verdict other than passed is refused unless asked for`() {
        for (verdict in listOf("pending", "failed")) {
            edit { replace("\"verdict\": \"passed\"", "\"verdict\": \"$verdict\"") }
            refused("verdict $verdict")
            assertThrows(BundleException::class.java) { Bundle.open(folder, verify = false) }
            Bundle.open(folder, allowUnverified = true)
        }
    }

    @Test
    fun `another version of the format is refused`() {
        edit { replace("\"schema_version\": 1", "\"schema_version\": 2") }
        refused("has schema version 2, this app reads 1")
    }

    @Test
    fun `an unknown field is refused as the schema says`() {
        edit { replace("\"name\":", "\"colour\": 1, \"name\":") }
        refused("unknown field colour")
    }

    @Test
    fun `an unknown field deeper down is refused`() {
        edit { replace("\"vocab_size\":", "\"colour\": 1, \"vocab_size\":") }
        refused("manifest.json: tokenizer has an unknown field colour")
    }

    @Test
    fun `a field that is missing is named`() {
        edit { replace("\"target\": \"tflite\",", "") }
        refused("has no target")
    }

    @Test
    fun `a field of another type is named`() {
        edit { replace("\"model_file\": \"model.tflite\"", "\"model_file\": 3") }
        refused("model_file is not a string")
    }

    @Test
    fun `an unknown task is refused`() {
        edit { replace("\"text-classification\"", "\"translation\"") }
        refused("task is not one of fill-mask, next-sentence, ")
    }

    @Test
    fun `a manifest that is not JSON is refused`() {
        manifest().writeText("{")
        refused("is not valid JSON")
    }

    @Test
    fun `a manifest that is not UTF-8 is refused`() {
        manifest().writeBytes(byteArrayOf('"'.code.toByte(), -1, '"'.code.toByte()))
        refused("manifest.json cannot be read")
    }

    @Test
    fun `a vocabulary that is not the manifest's is refused`() {
        val file = File(folder, "vocab.txt")
        val lines = file.readText().trimEnd('\n').split('\n')
        val rules = Bundle.open(folder).manifest.tokenizer
        for ((changed, message) in listOf(
            lines.drop(1) to "tokens, the manifest says",
            lines.reversed() to "does not map",
        )) {
            val text = changed.joinToString("\n", postfix = "\n")
            val failure = assertThrows(BundleException::class.java) { Vocabulary.parse(text, rules) }
            assertTrue(message in failure.message!!, failure.message)
        }
    }

    @Test
    fun `of a line that is there twice the last counts`() {
        val lines = File(folder, "vocab.txt").readText().trimEnd('\n').split('\n')
        val rules = Bundle.open(folder).manifest.tokenizer
        val text = (lines.dropLast(2) + lines[7] + "").joinToString("\n", postfix = "\n")
        val vocabulary = Vocabulary.parse(text, rules)
        assertEquals(lines.size, vocabulary.size)
        assertEquals(lines.size - 2, vocabulary.id(lines[7]))
        assertEquals(null, vocabulary.token(7))
        assertEquals("", vocabulary.token(lines.size - 1))
    }

    private fun manifest() = File(folder, "manifest.json")

    private fun model() = File(folder, "model.tflite")

    private fun edit(change: String.() -> String) {
        val original = File(Vectors.bundle, "manifest.json").readText()
        val changed = original.change()
        assertTrue(changed != original, "the manifest is not written as this test thinks")
        manifest().writeText(changed)
    }

    private fun refused(message: String) {
        val failure = assertThrows(BundleException::class.java) { Bundle.open(folder) }
        assertTrue(message in failure.message!!, failure.message)
    }
}
