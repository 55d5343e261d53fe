package org.bertmobile.core

/**
 * Name, element type and shape of an input or output. A size of [LENGTH] stands for the bucket, [BATCH] for any number
 * of texts.
 */
class TensorSpec(val name: String, val dtype: String, val shape: IntArray) {
    companion object {
        const val LENGTH = -1
        const val BATCH = -2
    }
}

/** A token with a meaning of its own, such as `[MASK]`. */
data class SpecialToken(val token: String, val id: Int)

/**
 * A token that is cut from a text whole.
 *
 * @property special whether it is left out where ids become text without special tokens.
 * @property lstrip, [rstrip] whether the white space before or after it belongs to it.
 * @property singleWord whether it is none where a letter, a digit or a mark is beside it.
 * @property normalized whether it is looked for in normalized text, after those that are not.
 */
data class AddedToken(
    val content: String,
    val id: Int,
    val special: Boolean,
    val lstrip: Boolean,
    val rstrip: Boolean,
    val singleWord: Boolean,
    val normalized: Boolean,
)

/**
 * The rules of a bundle's tokenizer, beside its vocabulary.
 *
 * @property longestWord in code points; a longer word is unknown.
 * @property addedTokens those that have a role, too.
 */
data class TokenizerSpec(
    val vocabSize: Int,
    val lowerCase: Boolean,
    val stripAccents: Boolean,
    val tokenizeChineseChars: Boolean,
    val longestWord: Int,
    val typeVocabSize: Int,
    val unk: SpecialToken,
    val sep: SpecialToken,
    val pad: SpecialToken,
    val cls: SpecialToken,
    val mask: SpecialToken,
    val addedTokens: List<AddedToken>,
) {
    val specialTokens: List<SpecialToken> get() = listOf(unk, sep, pad, cls, mask)
}

/** What a bundle's model is for; [spelling] is the manifest's. */
enum class TaskName(val spelling: String) {
    FILL_MASK("fill-mask"),
    NEXT_SENTENCE("next-sentence"),
    TEXT_CLASSIFICATION("text-classification"),
    TOKEN_CLASSIFICATION("token-classification"),
    QUESTION_ANSWERING("question-answering"),
    FEATURE_EXTRACTION("feature-extraction"),
}

/** What a text classification was trained for. */
enum class ProblemType(val spelling: String) {
    SINGLE_LABEL("single_label_classification"),
    MULTI_LABEL("multi_label_classification"),
    REGRESSION("regression"),
}

/** How the scores of a text classification come from its outputs. */
enum class FunctionToApply(val spelling: String) { SOFTMAX("softmax"), SIGMOID("sigmoid"), NONE("none") }

/** Whether a bundle was compared with its source, and with which result. */
enum class Verdict(val spelling: String) { PENDING("pending"), PASSED("passed"), FAILED("failed") }

/**
 * The vectors of feature-extraction.
 *
 * @property size how many numbers a vector has.
 * @property pooling how it comes from the states of tokens, several ways one behind the other.
 * @property normalized whether it has length one.
 * @property prompts what may be put before a text, by name.
 * @property defaultPrompt the name of the prompt that is put there unasked.
 * @property includePrompt false where `[CLS]` and the prompt's tokens are left out of the vector.
 * @property similarity how two vectors are to be compared, where the source says it.
 */
data class EmbeddingSpec(
    val size: Int,
    val pooling: List<String>,
    val normalized: Boolean,
    val prompts: Map<String, String>,
    val defaultPrompt: String?,
    val includePrompt: Boolean,
    val similarity: String?,
)

/** The checkpoint that a bundle was made from. */
data class SourceModel(
    val model: String,
    val revision: String?,
    val architecture: String?,
    val weightsSha256: String,
    val trained: Boolean,
)

/** What a file of a bundle has to be. */
data class FileEntry(val sha256: String, val bytes: Long)

/**
 * What a bundle says about itself; `docs/bundle.md` explains each field.
 *
 * @property lengths the buckets, ascending; of a [dynamic] model only the last is a limit.
 * @property signatures name of the model's signature for each of [lengths].
 * @property recipe how the model was quantized, which like [options], [source] and [tools] is for people only.
 */
class Manifest private constructor(fields: JsonFields) {
    val name: String = fields.string("name")
    val target: String = fields.oneOf("target", listOf("tflite", "onnx", "coreml").associateWith { it })
    val task: TaskName = fields.oneOf("task", TaskName.entries.associateBy { it.spelling })
    val recipe: Map<*, *> = fields.value("recipe") as? Map<*, *> ?: fields.wrong("recipe", "an object")
    val options: Map<*, *> = fields.value("options") as? Map<*, *> ?: fields.wrong("options", "an object")
    val modelFile: String = fields.string("model_file")
    val lengths: IntArray = fields.ints("lengths", least = SHORTEST)
    val signatures: Map<Int, String>
    val inputs: List<TensorSpec> = fields.objects("inputs", ::tensor)
    val outputs: List<TensorSpec> = fields.objects("outputs", ::tensor)
    val maskSlots: Int? = fields.intOrNull("mask_slots", least = 1)
    val labels: List<String> = fields.strings("labels")
    val problemType: ProblemType? = fields.value("problem_type")?.let {
        fields.oneOf("problem_type", ProblemType.entries.associateBy { it.spelling })
    }
    val functionToApply: FunctionToApply? = fields.value("function_to_apply")?.let {
        fields.oneOf("function_to_apply", FunctionToApply.entries.associateBy { it.spelling })
    }
    val embedding: EmbeddingSpec? = fields.onlyOrNull("embedding", ::embedding)
    val tokenizer: TokenizerSpec = fields.only("tokenizer", ::tokenizer)
    val source: SourceModel = fields.only("source", ::source)
    val tools: Map<String, String> = fields.members("tools") { members, tool -> members.string(tool) }
    val verdict: Verdict = fields.only("parity", ::verdict)
    val files: Map<String, FileEntry> = fields.members("files") { members, path -> members.only(path, ::file) }

    init {
        val named = fields.members("signatures") { members, length -> members.string(length) }
        signatures = lengths.associateWith { named[it.toString()] ?: fields.wrong("signatures", "a name for $it") }
        val ascending = lengths.indices.all { it == 0 || lengths[it - 1] < lengths[it] }
        if (lengths.isEmpty() || !ascending) fields.wrong<Nothing>("lengths", "a list of ascending lengths")
        if (inputs.isEmpty() || outputs.isEmpty()) fields.wrong<Nothing>("inputs", "a list of tensors")
        fields.finish()
    }

    /** Whether the model takes any length up to the longest, so that nothing is padded. */
    val dynamic: Boolean get() = TensorSpec.BATCH in inputs.first().shape

    /** The smallest of [lengths] that holds so many tokens; of a [dynamic] model as many as there are. */
    fun bucket(tokens: Int): Int {
        if (tokens > lengths.last()) {
            throw UsageException("$tokens tokens do not fit the longest bucket, ${lengths.last()}; shorten the text")
        }
        return if (dynamic) tokens else lengths.first { it >= tokens }
    }

    companion object {
        /** The version of the format that this code reads. */
        const val SCHEMA_VERSION = 1
        const val FILE = "manifest.json"

        /**
         * Read and check a manifest.
         *
         * @param where names the file in messages.
         * @throws BundleException another version of the format, or no valid manifest.
         */
        fun parse(json: String, where: String = FILE): Manifest {
            val document = parseJsonOf(json, where)
            val fields = JsonFields(document, where)
            val version = fields.value("schema_version")
            if (version != SCHEMA_VERSION.toLong()) {
                throw BundleException(
                    "$where has schema version $version, this app reads $SCHEMA_VERSION; " +
                        "export the bundle again, or update the app",
                )
            }
            return Manifest(fields)
        }
    }
}

/** A token between the two that every input has. */
private const val SHORTEST = 3

private val SHA256 = Regex("[0-9a-f]{64}")

internal fun parseJsonOf(json: String, where: String): Any? = try {
    parseJson(json)
} catch (failure: JsonException) {
    throw BundleException("$where is not valid JSON (${failure.message}); export the bundle again", failure)
}

private fun tensor(fields: JsonFields): TensorSpec {
    val shape = fields.list("shape").map {
        when {
            it == "length" -> TensorSpec.LENGTH
            it == "batch" -> TensorSpec.BATCH
            it is Long && it in 1..Int.MAX_VALUE -> it.toInt()
            else -> fields.wrong("shape", "a list of sizes")
        }
    }
    val dtypes = listOf("int32", "int64", "float32", "float16").associateWith { it }
    return TensorSpec(fields.string("name"), fields.oneOf("dtype", dtypes), shape.toIntArray()).also { fields.finish() }
}

private fun embedding(fields: JsonFields): EmbeddingSpec = EmbeddingSpec(
    size = fields.int("size", least = 1),
    pooling = fields.strings("pooling"),
    normalized = fields.boolean("normalized"),
    prompts = fields.members("prompts") { members, name -> members.string(name) },
    defaultPrompt = fields.stringOrNull("default_prompt"),
    includePrompt = fields.boolean("include_prompt"),
    similarity = fields.stringOrNull("similarity"),
).also { fields.finish() }

internal fun tokenizer(fields: JsonFields): TokenizerSpec {
    val special = fields.only("special_tokens") { tokens ->
        val read = listOf("unk", "sep", "pad", "cls", "mask").associateWith { role ->
            tokens.only(role) { SpecialToken(it.string("token"), it.int("id")).also { _ -> it.finish() } }
        }
        tokens.finish()
        read
    }
    return TokenizerSpec(
        vocabSize = fields.int("vocab_size", least = 1),
        lowerCase = fields.boolean("lower_case"),
        stripAccents = fields.boolean("strip_accents"),
        tokenizeChineseChars = fields.boolean("tokenize_chinese_chars"),
        longestWord = fields.int("longest_word", least = 1),
        typeVocabSize = fields.int("type_vocab_size", least = 1),
        unk = special.getValue("unk"),
        sep = special.getValue("sep"),
        pad = special.getValue("pad"),
        cls = special.getValue("cls"),
        mask = special.getValue("mask"),
        addedTokens = fields.objects("added_tokens", ::addedToken),
    ).also { fields.finish() }
}

private fun addedToken(fields: JsonFields): AddedToken = AddedToken(
    content = fields.string("content").also { if (it.isEmpty()) fields.wrong<Nothing>("content", "a token") },
    id = fields.int("id"),
    special = fields.boolean("special"),
    lstrip = fields.boolean("lstrip"),
    rstrip = fields.boolean("rstrip"),
    singleWord = fields.boolean("single_word"),
    normalized = fields.boolean("normalized"),
).also { fields.finish() }

private fun source(fields: JsonFields): SourceModel = SourceModel(
    model = fields.string("model"),
    revision = fields.stringOrNull("revision"),
    architecture = fields.stringOrNull("architecture"),
    weightsSha256 = sha256(fields, "weights_sha256"),
    trained = fields.boolean("trained"),
).also { fields.finish() }

private fun verdict(fields: JsonFields): Verdict =
    fields.oneOf("verdict", Verdict.entries.associateBy { it.spelling }).also { fields.finish() }

private fun file(fields: JsonFields): FileEntry {
    val bytes = fields.long("bytes")
    if (bytes < 0) fields.wrong<Nothing>("bytes", "0 or more")
    return FileEntry(sha256(fields, "sha256"), bytes).also { fields.finish() }
}

private fun sha256(fields: JsonFields, name: String): String =
    fields.string(name).also { if (!SHA256.matches(it)) fields.wrong<Nothing>(name, "a SHA-256") }
