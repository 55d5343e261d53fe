package org.bertmobile.demo

import java.io.File
import java.nio.file.Path
import org.bertmobile.core.Bundle
import org.bertmobile.core.Engine
import org.bertmobile.core.EngineFacts
import org.bertmobile.core.FloatTensor
import org.bertmobile.core.IntTensor
import org.junit.jupiter.api.Assertions.assertNotEquals

/** The made-up model of `tests/vectors/bundle.py`; [changed] makes another one of it. */
class StandInEngine(
    threads: Int = 1,
    private val changed: (Map<String, FloatTensor>) -> Map<String, FloatTensor> = { it },
) : Engine {
    override val facts = EngineFacts("stand-in", "1.0", "cpu", threads)

    @Volatile
    var runs = 0
        private set

    /** Of the tokens that it was run with. */
    @Volatile
    var longest = 0
        private set

    @Volatile
    var closed = false
        private set

    override fun run(inputs: Map<String, IntTensor>): Map<String, FloatTensor> {
        check(!closed) { "the engine is closed" }
        runs++
        longest = maxOf(longest, inputs.getValue("input_ids").values.size)
        val attended = inputs.getValue("attention_mask").values
        val sum = inputs.getValue("input_ids").values.filterIndexed { index, _ -> attended[index] == 1 }.sum()
        val logits = FloatArray(LABELS) { sum * (it + 3) % 17 / 4f }
        return changed(mapOf("logits" to FloatTensor(intArrayOf(1, LABELS), logits)))
    }

    override fun close() {
        closed = true
    }

    private companion object {
        const val LABELS = 3
    }
}

/** The vectors' bundle, and copies of it with faults. */
object TestBundles {
    private val vectors = File(checkNotNull(System.getProperty("bertmobile.vectors")) { "no -Dbertmobile.vectors=..." })
    val original = File(vectors, "bundle")

    /** A copy whose manifest was edited. */
    fun copy(temporary: Path, edit: (String) -> String = { it }): File {
        val folder = File(temporary.toFile(), "source")
        folder.deleteRecursively()
        original.copyRecursively(folder)
        File(folder, "manifest.json").run { writeText(edit(readText())) }
        return folder
    }

    /** An edit of a manifest that has to change something. */
    fun replacing(old: String, new: String): (String) -> String = { text ->
        text.replace(old, new).also { assertNotEquals(text, it, "the manifest is not written as this test thinks") }
    }

    fun open(folder: File = original): Bundle = Bundle.open(folder)
}

/** A folder as a tree of files. */
fun treeOf(folder: File) = FileTree { File(folder, it).inputStream() }
