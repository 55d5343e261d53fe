package org.bertmobile.core

import java.io.BufferedOutputStream
import java.io.DataOutputStream

/**
 * Answers what the tokenizers of the vectors make of texts, for comparisons of more of them than are in files.
 *
 * Reads a number, and so many lines with a case of the vectors each; writes for each the number of its tokens, and
 * their ids, starts, ends and words. Then the next number.
 */
fun main() {
    val input = System.`in`.bufferedReader(Charsets.US_ASCII)
    val output = DataOutputStream(BufferedOutputStream(System.out, 1 shl 16))
    while (true) {
        val count = input.readLine()?.toInt() ?: return
        // All lines first: whoever sends them does not read before the last.
        val lines = List(count) { input.readLine() }
        for (line in lines) {
            val case = Case(parseJson(line) as Map<*, *>)
            val tokens = Vectors.tokenizer(case).tokenize(case.string("text"))
            output.writeInt(tokens.size)
            for (numbers in arrayOf(tokens.ids, tokens.starts, tokens.ends, tokens.words)) {
                numbers.forEach(output::writeInt)
            }
        }
        output.flush()
    }
}
