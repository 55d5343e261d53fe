package org.bertmobile.core.tasks

import org.bertmobile.core.Encoded
import org.bertmobile.core.Span
import org.bertmobile.core.TaskName
import org.bertmobile.core.Vocabulary

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
 * @property index number of the token, where each token is an entity; otherwise null. Counted through the whole text,
 *   from the token that the tokenizer puts before it.
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

    /**
     * Find the entities of a text of any length, but those of [ignoreLabels].
     *
     * A text that does not fit the longest bucket is read in windows. Each token is judged in the window that shows
     * most of what is around it, and words and entities are formed of the whole text.
     *
     * @param stride tokens shared by neighbouring windows; see `Tokenization.windows`. With it, entities are formed in
     *   each window, and of those that overlap the longest counts, and the surest of equally long ones.
     * @throws UsageException the stride leaves no room for new tokens.
     */
    fun answer(
        text: String,
        aggregation: Aggregation = Aggregation.NONE,
        ignoreLabels: Collection<String> = setOf("O"),
        stride: Int? = null,
    ): List<Entity> = answer(tokenization.parts(text, stride), aggregation, ignoreLabels, stride != null)

    /**
     * Find the entities of a text whose words are split already.
     *
     * @param delimiter what stands between words in the text that places refer to.
     * @throws UsageException the stride leaves no room for new tokens.
     */
    fun answer(
        words: List<String>,
        aggregation: Aggregation = Aggregation.NONE,
        ignoreLabels: Collection<String> = setOf("O"),
        stride: Int? = null,
        delimiter: String = " ",
    ): List<Entity> =
        answer(tokenization.parts(words, delimiter, stride), aggregation, ignoreLabels, stride != null)

    private fun answer(
        parts: List<Encoded>,
        aggregation: Aggregation,
        ignoreLabels: Collection<String>,
        eachAlone: Boolean,
    ): List<Entity> {
        val windows = parts.map { tokens(it, context.output("logits", it.inputs)::row) }
        val text = parts.first()
        if (aggregation == Aggregation.NONE) {
            return eachOnce(windows).map { entity(text, it) }.filter { it.label !in ignoreLabels }
        }
        val texts = if (eachAlone) windows else listOf(eachOnce(windows))
        val found = texts.flatMap { groups(text, it, aggregation) }.filter { it.label !in ignoreLabels }
        return if (texts.size > 1) withoutOverlaps(found) else found
    }

    private fun groups(text: Encoded, tokens: List<Token>, aggregation: Aggregation): List<Entity> {
        if (aggregation == Aggregation.SIMPLE) {
            return phrases(text, tokens.map { unit(it.scores, it.word, listOf(it)) })
        }
        return phrases(text, words(tokens).map { unit(scores(it, aggregation), join(it), it) })
    }

    /** The tokens of a text, each from the window in which it is farthest from an edge. */
    private fun eachOnce(windows: List<List<Token>>): List<Token> = windows.reduce { tokens, window ->
        val shared = tokens.last().index + 1 - window.first().index
        tokens.dropLast(shared / 2) + window.drop(shared - shared / 2)
    }

    private fun withoutOverlaps(found: List<Entity>): List<Entity> {
        val kept = ArrayList<Entity>()
        for (entity in found.sortedBy { it.span.start }) {
            val last = kept.lastOrNull()
            if (last == null || entity.span.start !in last.span.start until last.span.end) {
                kept.add(entity)
            } else if (WEIGHT.compare(entity, last) > 0) {
                kept[kept.lastIndex] = entity
            }
        }
        return kept
    }

    /**
     * A token that is in the text.
     *
     * @property index as in [Entity].
     * @property piece whether it goes on with a word.
     * @property textWord number of its word in the text.
     */
    private class Token(
        val word: String,
        val scores: FloatArray,
        val index: Int,
        val start: Int,
        val end: Int,
        val piece: Boolean,
        val textWord: Int,
    ) {
        /**
         * Whether it belongs to the same word as the token before it. The reference goes by lengths, and takes a word
         * whose letters are decomposed, or that holds a soft hyphen, for a part of the word before it.
         */
        fun continues(last: Token): Boolean = piece && textWord == last.textWord
    }

    /** A token or a word with the label it was given. */
    private class Labelled(val label: String, val score: Float, val word: String, val start: Int, val end: Int) {
        val tag: String get() = if (label.startsWith("B-") || label.startsWith("I-")) label.substring(2) else label
    }

    private fun tokens(encoded: Encoded, logits: (Int) -> FloatArray): List<Token> =
        (0 until encoded.size).filter { !encoded.isSpecial(it) }.map { index ->
            val (start, end) = encoded.start(index) to encoded.end(index)
            val known = encoded.ids[index] != unknown
            val word = if (known) tokenization.token(encoded.ids[index]) else encoded.substring(0, start, end)
            val piece = known && word.startsWith(Vocabulary.CONTINUATION)
            Token(word, softmax(logits(index)), encoded.begin + index, start, end, piece, encoded.wordOf(index))
        }

    private fun entity(text: Encoded, token: Token): Entity {
        val best = best(token.scores)
        val span = text.span(0, token.start, token.end)
        return Entity(labels[best], token.scores[best].toDouble(), token.word, span, token.index)
    }

    private fun words(tokens: List<Token>): List<List<Token>> = joined(tokens) { last, token -> token.continues(last) }

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

    private companion object {
        val WEIGHT = compareBy<Entity>({ it.span.end - it.span.start }, { it.score })
    }
}
