package org.bertmobile.core.tasks

import org.bertmobile.core.BertMobileException
import org.bertmobile.core.BundleException
import org.bertmobile.core.Engine
import org.bertmobile.core.FloatTensor
import org.bertmobile.core.IntTensor
import org.bertmobile.core.TestEngine
import org.bertmobile.core.Tokenization
import org.bertmobile.core.UsageException
import org.bertmobile.core.Vectors
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class UsageTest {
    @Test
    fun `a text without a mask is refused before a run`() = fillMaskRefuses("no mask token [MASK] in the text") {
        answer("the keeper")
    }

    @Test
    fun `a mask that was cut off is missing`() = fillMaskRefuses("in its first 16 tokens") {
        answer("the ".repeat(20) + "[MASK]")
    }

    @Test
    fun `targets without a word are refused`() = fillMaskRefuses("targets holds no word") {
        answer("[MASK]", targets = listOf(""))
    }

    @Test
    fun `no answers are no number of answers`() = fillMaskRefuses("topK must be 1 or more, not 0") {
        answer("[MASK]", topK = 0)
    }

    @Test
    fun `an empty question is refused`() = refused<UsageException>("the question is empty") {
        QuestionAnswering(context("question-answering")).answer("", "the keeper")
    }

    @Test
    fun `a context without words is refused`() = refused<UsageException>("the context holds no words") {
        QuestionAnswering(context("question-answering")).answer("who?", " \u200b ")
    }

    @Test
    fun `a question that fills a run is refused`() = refused<UsageException>("leaves no room for the context") {
        QuestionAnswering(context("question-answering")).answer("who ".repeat(20), "the keeper")
    }

    @Test
    fun `a prompt that the bundle does not have is refused`() =
        refused<UsageException>("no prompt is called tale; known: query, passage") {
            val embedding = mapOf(
                "size" to 4L, "pooling" to listOf("mean"), "normalized" to false, "default_prompt" to null,
                "prompts" to mapOf("query" to "query: ", "passage" to ""), "include_prompt" to true,
                "similarity" to "cosine",
            )
            FeatureExtraction(context("feature-extraction", embedding = embedding))
                .embed("the keeper", promptName = "tale")
        }

    @Test
    fun `a head without entailment judges no labels of others`() = refused<UsageException>("a model of entailment") {
        ZeroShotClassification(context("text-classification"))
    }

    @Test
    fun `no labels, an empty text and a template without a gap are refused`() {
        val task = ZeroShotClassification(context("text-classification", labels = ENTAILMENT))
        refused<UsageException>("no labels") { task.answer("the keeper", emptyList()) }
        refused<UsageException>("the text is empty") { task.answer("", listOf("a")) }
        refused<UsageException>("the template must have {}") { task.answer("the keeper", listOf("a"), "so") }
    }

    @Test
    fun `a hypothesis without room for the text is refused`() = refused<UsageException>("leaves no room for the text") {
        val task = ZeroShotClassification(context("text-classification", labels = ENTAILMENT))
        task.answer("the keeper", listOf("walk ".repeat(20)))
    }

    @Test
    fun `a stride that leaves no room is refused`() = refused<UsageException>("the stride must be from 0 to 13") {
        TokenClassification(context("token-classification")).answer("the ".repeat(20), stride = 14)
    }

    @Test
    fun `a bundle for another task is refused`() = refused<BundleException>("is a bundle for fill-mask; export") {
        NextSentence(context("fill-mask"))
    }

    @Test
    fun `a model without the output is refused`() = refused<BundleException>("the model gives no logits") {
        val engine = object : TestEngine() {
            override fun run(inputs: Map<String, IntTensor>) = emptyMap<String, FloatTensor>()
        }
        NextSentence(context("next-sentence", engine)).answer("the", "keeper")
    }

    private fun context(
        task: String,
        engine: Engine = Never,
        labels: List<String> = listOf("bad", "good"),
        embedding: Any? = null,
    ): Context {
        val manifest = Vectors.manifest(mapOf("task" to task, "labels" to labels, "embedding" to embedding))
        val vocabulary = Vectors.vocabulary("small-vocab.txt", manifest.tokenizer)
        return Context(manifest, Tokenization(manifest, vocabulary), engine)
    }

    private fun fillMaskRefuses(message: String, ask: FillMask.() -> Unit) =
        refused<UsageException>(message) { FillMask(context("fill-mask")).ask() }

    private inline fun <reified T : BertMobileException> refused(message: String, noinline action: () -> Unit) {
        val failure = assertThrows(T::class.java) { action() }
        assertTrue(message in failure.message!!, failure.message)
    }

    private companion object {
        val ENTAILMENT = listOf("entailment", "contradiction")
    }

    private object Never : TestEngine() {
        override fun run(inputs: Map<String, IntTensor>) = error("the model ran")
    }
}
