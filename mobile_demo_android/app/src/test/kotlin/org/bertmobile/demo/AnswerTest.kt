package org.bertmobile.demo

import java.nio.file.Path
import org.bertmobile.core.Bundle
import org.bertmobile.core.FloatTensor
import org.bertmobile.core.TaskName
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** What each task's screen shows; whether the answers are right is tested in `:core`. */
class AnswerTest {
    @TempDir
    lateinit var temporary: Path

    @Test
    fun `fill-mask shows words for each gap`() {
        val words = { logits(8, VOCABULARY) { _, token -> if (token == 40) 9f else 0f } }
        val bundle = open("fill-mask", "logits" to words)
        val ranked = bundle.answer(listOf("the [MASK] of [MASK]")) as Answer.Ranked
        assertEquals(2, ranked.lists.size)
        for (list in ranked.lists) {
            assertEquals(5, list.size)
            assertTrue(list[0].score > 0.9 && list[1].score < 0.1)
        }
        assertTrue(ranked.shares)
    }

    @Test
    fun `next-sentence needs both texts`() {
        val bundle = open("next-sentence", "logits" to { FloatTensor(intArrayOf(1, 2), floatArrayOf(4f, 0f)) })
        assertNull(bundle.answer(listOf("the keeper", "")))
        assertNull(bundle.answer(listOf(" ", "the keeper")))
        val line = (bundle.answer(listOf("the keeper", "the lighthouse")) as Answer.Ranked).lists.single().single()
        assertEquals("is_next", line.text)
    }

    @Test
    fun `text-classification takes one text or two`() {
        val logits = { FloatTensor(intArrayOf(1, 3), floatArrayOf(1f, 3f, 2f)) }
        val bundle = open("text-classification", "logits" to logits)
        for (texts in listOf(listOf("the keeper", ""), listOf("the keeper", "the lighthouse"))) {
            val ranked = bundle.answer(texts) as Answer.Ranked
            assertEquals(listOf("good", "fine", "bad"), ranked.lists.single().map { it.text })
            assertTrue(ranked.shares)
        }
    }

    @Test
    fun `a score that no function was applied to is no share`() {
        val edit = TestBundles.replacing("\"softmax\"", "\"none\"")
        val logits = { FloatTensor(intArrayOf(1, 3), floatArrayOf(1f, 3f, 2f)) }
        val bundle = open("text-classification", "logits" to logits, edit)
        val ranked = bundle.answer(listOf("the keeper", "")) as Answer.Ranked
        assertEquals(3.0, ranked.lists.single().first().score)
        assertTrue(!ranked.shares)
    }

    @Test
    fun `token-classification marks names in the text`() {
        val logits = { logits(8, 3) { token, label -> if (label == (if (token == 2) 1 else 0)) 9f else 0f } }
        val labels = TestBundles.replacing("\"bad\"", "\"O\"")
        val bundle = open("token-classification", "logits" to logits, labels)
        val marked = bundle.answer(listOf("the keeper")) as Answer.Marked
        val mark = marked.marks.single()
        assertEquals("keeper", marked.text.substring(mark.start, mark.end))
        assertEquals("good", mark.label)
    }

    @Test
    fun `question-answering marks the answer in the passage`() {
        // [CLS] who ? [SEP] the keeper [SEP]
        val best = { at: Int -> { FloatTensor(intArrayOf(1, 8), FloatArray(8) { if (it == at) 9f else 0f }) } }
        val bundle = open("question-answering", mapOf("start_logits" to best(5), "end_logits" to best(5)))
        assertNull(bundle.answer(listOf("the", " ")))
        val marked = bundle.answer(listOf("the keeper", "the keeper")) as Answer.Marked
        assertEquals("the keeper", marked.text)
        assertNull(marked.marks.single().label)
        assertEquals("keeper", marked.text.substring(marked.marks.single().start, marked.marks.single().end))
    }

    @Test
    fun `feature-extraction compares with a second text`() {
        // The first is of the run at opening.
        val vectors = ArrayDeque(listOf(0f to 0f, 1f to 0f, 1f to 0f, 3f to 4f))
        val embedding = TestBundles.replacing(
            "\"embedding\": null",
            "\"embedding\": {\"size\": 2, \"pooling\": [\"mean\"], \"normalized\": false, \"prompts\": {}, " +
                "\"default_prompt\": null, \"include_prompt\": true, \"similarity\": null}",
        )
        val vector = { FloatTensor(intArrayOf(1, 2), vectors.removeFirst().toList().toFloatArray()) }
        val bundle = open("feature-extraction", "sentence_embedding" to vector, embedding)
        assertEquals(Answer.Embedded(2, null), bundle.answer(listOf("the keeper", "")))
        val compared = bundle.answer(listOf("the keeper", "the lighthouse")) as Answer.Embedded
        assertEquals(0.6, compared.likeness!!, 1e-9)
    }

    @Test
    fun `each task has fields, of which the first is needed`() {
        for (task in TaskName.entries) assertTrue(!fieldsOf(task).first().optional, "$task")
    }

    private fun open(task: String, output: Pair<String, () -> FloatTensor>, edit: (String) -> String = { it }) =
        open(task, mapOf(output), edit)

    private fun open(
        task: String,
        outputs: Map<String, () -> FloatTensor>,
        edit: (String) -> String = { it },
    ): OpenBundle {
        val folder = TestBundles.copy(temporary) { edit(it.replace("\"text-classification\"", "\"$task\"")) }
        val engine = StandInEngine { outputs.mapValues { (_, tensor) -> tensor() } }
        return OpenBundle.open(Bundle.open(folder, verify = false), { _, _ -> engine }, 1)
    }

    private fun logits(rows: Int, width: Int, value: (Int, Int) -> Float) =
        FloatTensor(intArrayOf(1, rows, width), FloatArray(rows * width) { value(it / width, it % width) })

    private companion object {
        const val VOCABULARY = 128
    }
}
