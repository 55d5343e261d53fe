package org.bertmobile.core.tasks

import org.bertmobile.core.Encoded
import org.bertmobile.core.Span
import org.bertmobile.core.TaskName
import org.bertmobile.core.codePointCount

/** What is one entity: each token, or neighbours of one label, with the labels of tokens or of whole words. */
enum class Aggregation {
    /** Each token. */
    NONE,

    /** Neighbouring tokens of one label. */
    SIMPLE,

    /** Neighbouring words of one label; a word has the label of its first token, */
    FIRST,

    /** of the mean scores of its tokens, */
    AVERAGE,

    /** or of its surest token. */
    MAX,
}

/**
 * An entity of a text.
 *
 * @property index number of the token, special ones included, where each token is an entity; otherwise null.
 */
data class Entity(val label: String, val score: Double, val word: String, val span: Span, val index: Int? = null)

/** token-classification: labels of tokens, or of the words and phrases that they form. */
class TokenClassification(private val context: Context) {
    private val labels = context.manifest.labels
    private val unknown = context.manifest.tokenizer.unk.id
    private val tokenization = context.tokenization

    init {
        context.require(TaskName.TOKEN_CLASSIFICATION)
    }

    /** Find the entities of a text, but those of [ignoreLabels]. */
    fun answer(
        text: String,
        aggregation: Aggregation = Aggregation.NONE,
        ignoreLabels: Collection<String> = setOf("O"),
    ): List<Entity> {
        val encoded = tokenization.encode(text)
        val tokens = tokens(encoded, context.output("logits", encoded.inputs)::row)
        val entities = when (aggregation) {
            Aggregation.NONE -> tokens.map { entity(encoded, it) }
            Aggregation.SIMPLE -> phrases(encoded, tokens.map { unit(it.scores, it.word, listOf(it)) })
            else -> phrases(encoded, words(tokens).map { unit(scores(it, aggregation), join(it), it) })
        }
        return entities.filter { it.label !in ignoreLabels }
    }

    /** A token that is in the text; [continues] when it belongs to the word before it. */
    private class Token(
        val word: String,
        val scores: FloatArray,
        val index: Int,
        val start: Int,
        val end: Int,
        val continues: Boolean,
    )

    /** A token or a word with the label it was given. */
    private class Labelled(val label: String, val score: Float, val word: String, val start: Int, val end: Int) {
        val tag: String get() = if (label.startsWith("B-") || label.startsWith("I-")) label.substring(2) else label
    }

    private fun tokens(encoded: Encoded, logits: (Int) -> FloatArray): List<Token> =
        (0 until encoded.size).filter { !encoded.isSpecial(it) }.map { index ->
            val (start, end) = encoded.start(index) to encoded.end(index)
            val known = encoded.ids[index] != unknown
            val word = if (known) tokenization.token(encoded.ids[index]) else encoded.substring(0, start, end)
            // The rule of the reference: a token as long as its text starts a word, since "##" makes a continuation
            // longer. (Text that normalisation shortens counts as a continuation too.)
            val continues = known && codePointCount(word) != end - start
            Token(word, softmax(logits(index)), index, start, end, continues)
        }

    private fun entity(encoded: Encoded, token: Token): Entity {
        val best = best(token.scores)
        return Entity(labels[best], token.scores[best].toDouble(), token.word, encoded.span(token.index), token.index)
    }

    private fun words(tokens: List<Token>): List<List<Token>> = joined(tokens) { _, token -> token.continues }

    /** Neighbours of one tag; a "B-" label always begins a new phrase. */
    private fun phrases(encoded: Encoded, units: List<Labelled>): List<Entity> =
        joined(units) { last, unit -> unit.tag == last.tag && !unit.label.startsWith("B-") }.map { phrase(encoded, it) }

    private fun <T> joined(items: List<T>, together: (T, T) -> Boolean): List<List<T>> {
        val groups = ArrayList<ArrayList<T>>()
        for (item in items) {
            val last = groups.lastOrNull()
            if (last != null && together(last.last(), item)) last.add(item) else groups.add(arrayListOf(item))
        }
        return groups
    }

    private fun scores(word: List<Token>, aggregation: Aggregation): FloatArray = when (aggregation) {
        Aggregation.AVERAGE -> FloatArray(labels.size) { label -> mean(word.map { it.scores[label] }) }
        Aggregation.MAX -> word.maxBy { it.scores.max() }.scores
        else -> word.first().scores
    }

    private fun unit(scores: FloatArray, word: String, tokens: List<Token>): Labelled {
        val best = best(scores)
        return Labelled(labels[best], scores[best], word, tokens.first().start, tokens.last().end)
    }

    private fun phrase(encoded: Encoded, units: List<Labelled>): Entity = Entity(
        label = units.first().label.substringAfter('-'),
        score = mean(units.map { it.score }).toDouble(),
        word = tokenization.join(units.map { it.word }),
        span = encoded.span(0, units.first().start, units.last().end),
    )

    private fun join(tokens: List<Token>): String = tokenization.join(tokens.map { it.word })

    private fun mean(values: List<Float>): Float = values.reduce(Float::plus) / values.size
}
