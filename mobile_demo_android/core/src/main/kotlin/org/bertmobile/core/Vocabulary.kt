package org.bertmobile.core

/**
 * Tokens and their ids, as a tree of code points in one hash table: a word is split in one walk over it, without a
 * string for each part that might be a token. WordPiece knows the lines of `vocab.txt`; tokens that are only
 * [added][TokenizerSpec.addedTokens] begin and continue no word.
 */
class Vocabulary private constructor(private val tokens: Array<String?>, added: List<AddedToken>) {
    // An entry is a node and a code point (from 1, so that 0 is no entry), and the node that they lead to.
    private var keys = LongArray(2 * tokens.size.takeHighestOneBit() * NODES_PER_TOKEN)
    private var children = IntArray(keys.size)
    private val ids = IntBuffer(keys.size / 2).apply { add(NONE) }

    private val addedById = added.associateBy { it.id }
    private val addedByToken = added.associateBy { it.content }

    init {
        for (id in tokens.indices) insert(CodePoints(checkNotNull(tokens[id])), id)
    }

    /** Number of lines. */
    val size: Int get() = tokens.size

    /** The token of an id, such as `##ing`, or null. */
    fun token(id: Int): String? = addedById[id]?.content ?: tokens.getOrNull(id)

    /** The id of exactly this token, or null. */
    fun id(token: String): Int? = addedByToken[token]?.id ?: lineOf(token)

    /** The id by which WordPiece knows exactly this token, or null. */
    private fun lineOf(token: String): Int? {
        val node = find(CodePoints(token))
        return if (node == NONE || ids[node] == NONE) null else ids[node]
    }

    /** Where the walk over the continuation of a word starts. */
    internal val continuation: Int = find(CodePoints(CONTINUATION))

    /** The node that a code point leads to, or [NONE]. */
    internal fun child(node: Int, code: Int): Int {
        val key = key(node, code)
        var slot = slot(key)
        while (keys[slot] != 0L) {
            if (keys[slot] == key) return children[slot]
            slot = slot + 1 and keys.size - 1
        }
        return NONE
    }

    /** The id of the token that ends at a node, or [NONE]. */
    internal fun idAt(node: Int): Int = ids[node]

    private fun find(codes: CodePoints): Int {
        var node = ROOT
        for (index in 0 until codes.size) {
            node = child(node, codes.values[index])
            if (node == NONE) break
        }
        return node
    }

    private fun insert(codes: CodePoints, id: Int) {
        var node = ROOT
        for (index in 0 until codes.size) node = childOrNew(node, codes.values[index])
        // Of a line that is there twice the last counts, and the id of the first has no token.
        if (ids[node] != NONE) tokens[ids[node]] = null
        ids.values[node] = id
    }

    private fun childOrNew(node: Int, code: Int): Int {
        val found = child(node, code)
        if (found != NONE) return found
        val new = ids.size
        ids.add(NONE)
        if (2 * new > keys.size) grow()
        put(key(node, code), new)
        return new
    }

    private fun grow() {
        val (oldKeys, oldChildren) = keys to children
        keys = LongArray(2 * oldKeys.size)
        children = IntArray(keys.size)
        for (slot in oldKeys.indices) if (oldKeys[slot] != 0L) put(oldKeys[slot], oldChildren[slot])
    }

    private fun put(key: Long, child: Int) {
        var slot = slot(key)
        while (keys[slot] != 0L) slot = slot + 1 and keys.size - 1
        keys[slot] = key
        children[slot] = child
    }

    private fun key(node: Int, code: Int): Long = node.toLong() shl CODE_BITS or code + 1L

    private fun slot(key: Long): Int = (key * SPREAD ushr 32).toInt() and keys.size - 1

    companion object {
        internal const val NONE = -1
        internal const val ROOT = 0
        internal const val CONTINUATION = "##"
        private const val NODES_PER_TOKEN = 4
        private const val CODE_BITS = 21

        // 2 to the 64 by the golden ratio: neighbours end far from each other.
        private const val SPREAD = -0x61c8864680b583ebL
        private const val AGAIN = JsonFields.EXPORT_AGAIN

        /**
         * Read `vocab.txt`: one token a line, in the order of ids.
         *
         * @throws BundleException not as many lines as the manifest says, or special or added tokens with
         *   other ids.
         */
        fun parse(vocabTxt: String, spec: TokenizerSpec): Vocabulary {
            val lines = vocabTxt.removeSuffix("\n").split('\n')
            if (lines.size != spec.vocabSize) {
                throw BundleException("vocab.txt has ${lines.size} tokens, the manifest says ${spec.vocabSize}; $AGAIN")
            }
            val vocabulary = Vocabulary(lines.toTypedArray(), spec.addedTokens)
            val named = spec.specialTokens.map { it.token to it.id } + spec.addedTokens.map { it.content to it.id }
            for ((token, id) in named) {
                if (vocabulary.id(token) != id || vocabulary.lineOf(token) ?: id != id) {
                    throw BundleException("vocab.txt does not map $token to $id as the manifest says; $AGAIN")
                }
            }
            return vocabulary
        }
    }
}
