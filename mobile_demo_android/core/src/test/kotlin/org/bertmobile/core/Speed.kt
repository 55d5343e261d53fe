package org.bertmobile.core

import java.io.File

/** Seconds of each round over the texts of a file, a JSON string a line, with the tokenizer of a bundle's folder. */
fun main(arguments: Array<String>) {
    val (folder, texts, warmUp, rounds) = arguments
    val spec = tokenizer(JsonFields(parseJson(File(folder, "rules.json").readText()), "rules.json"))
    val opening = System.nanoTime()
    val vocabulary = Vocabulary.parse(File(folder, "vocab.txt").readText(), spec)
    val tokenizer = Tokenizer(spec, vocabulary)
    tokenizer.tokenize("the tables are read for the first text")
    System.err.println("ready after ${(System.nanoTime() - opening) / 1_000_000} ms")
    val sentences = File(texts).readLines().map { parseJson(it) as String }
    repeat(warmUp.toInt() + rounds.toInt()) { round ->
        val start = System.nanoTime()
        val tokens = sentences.sumOf { tokenizer.tokenize(it).size }
        val seconds = (System.nanoTime() - start) / 1e9
        if (round >= warmUp.toInt()) println("$seconds $tokens")
    }
}
