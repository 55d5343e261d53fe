package org.bertmobile.core

/** The tokenizer of a bundle, cut and padded to the bundle's buckets. Safe to use from several threads. */
class Tokenization(private val manifest: Manifest, private val vocabulary: Vocabulary) {
    private val rules = manifest.tokenizer
    private val tokenizer = Tokenizer(rules, vocabulary)
    private val segments = rules.typeVocabSize > 1
    private val inputs = manifest.inputs.map { it.name }
    private val specials = rules.addedTokens.filter { it.special }.map { it.content }.toSet()

    /** The largest bucket, in tokens. */
    val longest: Int get() = manifest.lengths.last()

    /**
     * Tokens of a text or a pair in the smallest bucket that holds them.
     *
     * What does not fit the largest bucket is dropped from the end, of the longer text first; [Encoded.dropped] says
     * how much.
     *
     * @param keepPair drop from the first text only.
     * @param prompt what is put before the text.
     * @throws UsageException a text with lone surrogates, or a second one that has to be kept and leaves no room.
     */
    fun encode(text: String, pair: String? = null, keepPair: Boolean = false, prompt: String = ""): Encoded {
        val first = tokenizer.tokenize(prompt + text)
        // An empty second text is no second text, as for the reference tokenizer.
        val second = if (pair.isNullOrEmpty()) null else tokenizer.tokenize(pair)
        val room = longest - added(second != null)
        val sizes = first.size to (second?.size ?: 0)
        val dropped = maxOf(0, sizes.first + sizes.second - room)
        val (firstSize, secondSize) = when {
            dropped == 0 -> sizes
            keepPair -> room - sizes.second to sizes.second
            else -> longestFirst(sizes, room)
        }
        if (firstSize < minOf(1, sizes.first)) {
            throw UsageException(
                "\"$pair\" has $secondSize tokens and leaves no room for the text in $longest; make it shorter, " +
                    "or export with a longer length",
            )
        }
        return encoded(first, 0 until firstSize, second, 0 until secondSize, dropped, promptLength(prompt))
    }

    /**
     * How many tokens of a text are its prompt's, `[CLS]` included, as sentence-transformers counts: those of the
     * prompt by itself, whatever follows its last word.
     */
    private fun promptLength(prompt: String): Int =
        if (prompt.isEmpty()) 0 else minOf(tokenizer.tokenize(prompt).size + added(false), longest) - 1

    /**
     * A question with each part of a context that may be too long for one run.
     *
     * @param question kept whole in every window.
     * @param context cut into windows when it does not fit the largest bucket.
     * @param stride tokens by which neighbouring windows overlap; by default 128, or less where there is little room.
     * @return the windows in order; places refer to the whole context.
     * @throws UsageException the question leaves no room for the context, or the stride none for new tokens.
     */
    fun windows(question: String, context: String, stride: Int? = null): List<Encoded> {
        val first = tokenizer.tokenize(question)
        val second = tokenizer.tokenize(context)
        val room = longest - added(true) - first.size
        if (room < 1) {
            throw UsageException(
                "the question has ${first.size} tokens and leaves no room for the context in $longest; " +
                    "ask a shorter question, or export with a longer length",
            )
        }
        return cut(second.size, room, stride).map { encoded(first, 0 until first.size, second, it, 0) }
    }

    /**
     * The parts of a text that may be too long for one run.
     *
     * @param stride as in [windows].
     * @return the windows in order; places refer to the whole text.
     * @throws UsageException the stride leaves no room for new tokens.
     */
    fun parts(text: String, stride: Int? = null): List<Encoded> = parts(tokenizer.tokenize(text), stride)

    /**
     * The parts of a text whose words are split already, each of which becomes tokens alone.
     *
     * @param delimiter what stands between words in the text that places refer to.
     * @throws UsageException the stride leaves no room for new tokens.
     */
    fun parts(words: List<String>, delimiter: String, stride: Int? = null): List<Encoded> {
        val ids = ArrayList<IntArray>()
        val (starts, ends, numbers) = List(3) { ArrayList<IntArray>() }
        var place = 0
        var number = 0
        for (word in words) {
            val tokens = tokenizer.tokenize(word)
            ids.add(tokens.ids)
            starts.add(IntArray(tokens.size) { tokens.starts[it] + place })
            ends.add(IntArray(tokens.size) { tokens.ends[it] + place })
            numbers.add(IntArray(tokens.size) { tokens.words[it] + number })
            place += codePointCount(word) + codePointCount(delimiter)
            number += (tokens.words.lastOrNull() ?: -1) + 1
        }
        val text = CodePoints(words.joinToString(delimiter))
        return parts(Tokens(text, joined(ids), joined(starts), joined(ends), joined(numbers)), stride)
    }

    private fun parts(tokens: Tokens, stride: Int?): List<Encoded> =
        cut(tokens.size, longest - added(false), stride).map { encoded(tokens, it, null, 0 until 0, 0) }

    /** The windows of so many tokens, each no larger than the room. */
    private fun cut(size: Int, room: Int, stride: Int?): List<IntRange> {
        if (size <= room) return listOf(0 until size)
        val overlap = stride ?: minOf(DEFAULT_STRIDE, longest / 2).let { if (it >= room) room / 2 else it }
        if (overlap !in 0 until room) {
            throw UsageException(
                "the stride must be from 0 to ${room - 1} (a window has room for $room tokens of the text, of " +
                    "$longest), not $overlap",
            )
        }
        val windows = ArrayList<IntRange>()
        var begin = 0
        while (true) {
            val end = minOf(begin + room, size)
            windows.add(begin until end)
            if (end == size) return windows
            begin += room - overlap
        }
    }

    /** Ids of a text, without special tokens and not cut. */
    fun tokenIds(text: String): IntArray = tokenizer.tokenize(text).ids

    /** The token of an id, such as `##ing`; an empty string for an id without one. */
    fun token(id: Int): String = vocabulary.token(id).orEmpty()

    /** The id of exactly this token, or null. */
    fun tokenId(token: String): Int? = vocabulary.id(token)

    /** Text of token ids. */
    fun decode(ids: IntArray, skipSpecialTokens: Boolean): String =
        join(ids.toList().mapNotNull(vocabulary::token).filter { !(skipSpecialTokens && it in specials) })

    /** Text of tokens, with the pieces of a word put together. */
    fun join(tokens: List<String>): String = joinTokens(tokens)

    /** How many tokens the tokenizer adds: one before, one after each text. */
    private fun added(pair: Boolean): Int = if (pair) 3 else 2

    private fun encoded(
        first: Tokens,
        own: IntRange,
        second: Tokens?,
        part: IntRange,
        dropped: Int,
        promptLength: Int = 0,
    ): Encoded {
        val (firstSize, secondSize) = own.count() to part.count()
        val size = firstSize + secondSize + added(second != null)
        val bucket = manifest.bucket(size)
        val ids = IntArray(size)
        ids[0] = rules.cls.id
        first.ids.copyInto(ids, 1, own.first, own.first + firstSize)
        ids[firstSize + 1] = rules.sep.id
        if (second != null) {
            second.ids.copyInto(ids, firstSize + 2, part.first, part.first + secondSize)
            ids[size - 1] = rules.sep.id
        }
        val rows = HashMap<String, IntTensor>()
        for (name in inputs) {
            val row = when (name) {
                "input_ids" -> ids.copyOf(bucket).also { it.fill(rules.pad.id, size, bucket) }
                "attention_mask" -> IntArray(bucket).also { it.fill(1, 0, size) }
                "token_type_ids" -> IntArray(bucket).also { if (segments) it.fill(1, firstSize + 2, size) }
                "pooling_mask" -> IntArray(bucket).also { if (promptLength < size) it.fill(1, promptLength, size) }
                else -> continue // mask_positions, which a task adds
            }
            rows[name] = IntTensor(intArrayOf(1, bucket), row)
        }
        return Encoded(rows, ids, dropped, first, second, own.first, part.first, firstSize, secondSize)
    }

    private companion object {
        const val DEFAULT_STRIDE = 128
    }
}

private fun joined(parts: List<IntArray>): IntArray {
    val all = IntArray(parts.sumOf { it.size })
    var at = 0
    for (part in parts) {
        part.copyInto(all, at)
        at += part.size
    }
    return all
}

/** Cut the longer text down to the shorter one, then both alike (an odd token goes to the longer). */
private fun longestFirst(sizes: Pair<Int, Int>, room: Int): Pair<Int, Int> {
    val shorter = minOf(sizes.first, sizes.second)
    val short = if (shorter + maxOf(shorter, room - shorter) > room) room / 2 else shorter
    val long = room - short
    return if (sizes.first > sizes.second) long to short else short to long
}
