package org.bertmobile.core

import java.io.File
import org.junit.jupiter.api.DynamicTest

/** The answers of the Python runtime, `tests/vectors/data` of the repository. */
object Vectors {
    val folder = File(checkNotNull(System.getProperty("bertmobile.vectors")) { "no folder: -Dbertmobile.vectors=..." })
    val bundle = File(folder, "bundle")

    private val rules: Map<*, *> = parseJson(File(folder, "rules.json").readText()) as Map<*, *>
    private val manifest: Map<*, *> = parseJson(File(bundle, Manifest.FILE).readText()) as Map<*, *>
    private val vocabularies = HashMap<String, Vocabulary>()
    private val tokenizers = HashMap<String, Tokenizer>()

    /** A test for each line of a file. */
    fun tests(name: String, check: (Case) -> Unit): List<DynamicTest> =
        File(folder, "$name.jsonl").readLines().mapIndexed { number, line ->
            DynamicTest.dynamicTest("$name.jsonl line ${number + 1}") { check(Case(parseJson(line) as Map<*, *>)) }
        }

    /** The manifest of the vectors' bundle with other fields. */
    fun manifest(fields: Map<*, *>): Manifest = Manifest.parse(toJson(manifest + fields))

    fun manifestOf(case: Case): Manifest {
        val lengths = case.list("lengths")
        val tokenizer = (rules[case["rules"]] as Map<*, *>) + ("type_vocab_size" to (case["type_vocab_size"] ?: 2L))
        val batch = if (case["dynamic"] == true) "batch" else 1L
        val inputs = (manifest["inputs"] as List<*>).map { (it as Map<*, *>) + ("shape" to listOf(batch, "length")) }
        val signatures = lengths.associate { it.toString() to "s$it" }
        return manifest(
            mapOf("tokenizer" to tokenizer, "lengths" to lengths, "signatures" to signatures, "inputs" to inputs),
        )
    }

    fun vocabulary(file: String, spec: TokenizerSpec): Vocabulary =
        vocabularies.getOrPut("$file $spec") { Vocabulary.parse(File(folder, file).readText(), spec) }

    fun tokenization(case: Case): Tokenization {
        val manifest = manifestOf(case)
        return Tokenization(manifest, vocabulary("vocab.txt", manifest.tokenizer))
    }

    internal fun tokenizer(case: Case): Tokenizer = tokenizers.getOrPut(case["rules"] as String) {
        val spec = tokenizer(JsonFields(rules[case["rules"]], "rules.json"))
        Tokenizer(spec, vocabulary("vocab.txt", spec))
    }
}

/** An engine of the tests, which has nothing to close. */
abstract class TestEngine : Engine {
    override val facts = EngineFacts("test", null, Accelerator.CPU.spelling, 1)

    override fun close() = Unit
}

/** One line of the vectors. */
class Case(private val fields: Map<*, *>) {
    operator fun get(name: String): Any? = fields[name]

    fun string(name: String): String = fields[name] as String

    fun list(name: String): List<*> = fields[name] as List<*>

    fun case(name: String): Case = Case(map(name))

    fun map(name: String): Map<*, *> = fields[name] as Map<*, *>

    fun has(name: String): Boolean = name in fields

    fun int(name: String): Int? = (fields[name] as Long?)?.toInt()

    fun ints(name: String): IntArray = ints(list(name))
}

/** Whole numbers of a document; null is -1. */
fun ints(list: List<*>): IntArray = list.map { (it as Long? ?: -1L).toInt() }.toIntArray()

fun toJson(value: Any?): String = when (value) {
    is Map<*, *> -> value.entries.joinToString(",", "{", "}") { "${toJson(it.key)}:${toJson(it.value)}" }
    is List<*> -> value.joinToString(",", "[", "]", transform = ::toJson)
    is String -> value.map { "\\u%04x".format(it.code) }.joinToString("", "\"", "\"")
    else -> value.toString()
}
