package org.bertmobile.core

// As the reference's decoder: the spaces that a tokenizer puts before punctuation and English endings, token by token.
private val MENDED = listOf(
    " ." to ".",
    " ?" to "?",
    " !" to "!",
    " ," to ",",
    " ' " to "'",
    " n't" to "n't",
    " 'm" to "'m",
    " do not" to " don't",
    " 's" to "'s",
    " 've" to "'ve",
    " 're" to "'re",
)

/** Text of tokens, with the pieces of a word put together. */
internal fun joinTokens(tokens: List<String>): String {
    val text = StringBuilder()
    for ((index, token) in tokens.withIndex()) {
        val piece = when {
            index == 0 -> token
            token.startsWith(Vocabulary.CONTINUATION) -> token.substring(Vocabulary.CONTINUATION.length)
            else -> " $token"
        }
        text.append(if (' ' in piece) MENDED.fold(piece) { mended, (from, to) -> mended.replace(from, to) } else piece)
    }
    return text.toString()
}
