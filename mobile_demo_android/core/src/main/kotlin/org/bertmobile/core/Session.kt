package org.bertmobile.core

/**
 * A model that a runtime's library has loaded.
 *
 * [SessionEngine] is the only one to use it: by one thread at a time, with inputs that are the manifest's, and not
 * after it is closed.
 */
interface Session : AutoCloseable {
    /**
     * Run the model once.
     *
     * @param length tokens of the run, padding included.
     * @param inputs all of the manifest's inputs, in its shapes.
     * @return the manifest's outputs, which are the caller's own.
     * @throws BertMobileException the library cannot run the model.
     */
    fun run(length: Int, inputs: Map<String, IntTensor>): Map<String, FloatTensor>
}

/**
 * An engine as its callers want it, made of a session: inputs are checked before a library sees them, threads take
 * turns, and it can be closed at any time.
 */
class SessionEngine(
    private val manifest: Manifest,
    override val facts: EngineFacts,
    private val session: Session,
) : Engine {
    private var closed = false

    // Ids beyond a table's end would make a library read what is not the table's.
    private val limits = mapOf(
        "input_ids" to manifest.tokenizer.vocabSize,
        "attention_mask" to 2,
        "pooling_mask" to 2,
        "token_type_ids" to maxOf(1, manifest.tokenizer.typeVocabSize),
    )

    override fun run(inputs: Map<String, IntTensor>): Map<String, FloatTensor> {
        val length = checked(inputs)
        return synchronized(this) {
            if (closed) throw UsageException("the engine is closed; open the bundle again")
            withMemory("run ${manifest.name}") { session.run(length, inputs) }
        }
    }

    override fun close() = synchronized(this) {
        if (!closed) {
            closed = true
            session.close()
        }
    }

    /** The length of a run. */
    private fun checked(inputs: Map<String, IntTensor>): Int {
        val names = manifest.inputs.map { it.name }
        if (inputs.size != names.size || !inputs.keys.containsAll(names)) {
            throw UsageException(
                "${manifest.name} takes the inputs ${names.sorted().joinToString()}, " +
                    "not ${inputs.keys.sorted().joinToString()}; give what its tokenization makes",
            )
        }
        val length = inputs.getValue(names.first()).shape.lastOrNull() ?: 0
        if (if (manifest.dynamic) length !in 1..manifest.lengths.last() else length !in manifest.lengths) {
            val known =
                if (manifest.dynamic) "from 1 to ${manifest.lengths.last()}" else manifest.lengths.joinToString()
            throw UsageException("${manifest.name} has no bucket of $length tokens, only $known; pad to one of them")
        }
        for (spec in manifest.inputs) {
            val tensor = inputs.getValue(spec.name)
            val shape = IntArray(spec.shape.size) {
                when (val size = spec.shape[it]) {
                    TensorSpec.BATCH -> 1
                    TensorSpec.LENGTH -> length
                    else -> size
                }
            }
            if (!tensor.shape.contentEquals(shape)) {
                throw UsageException(
                    "${spec.name} must be ${shape.joinToString(" x ")}, not ${tensor.shape.joinToString(" x ")}",
                )
            }
            val limit = limits[spec.name] ?: length
            for (value in tensor.values) {
                if (value < 0 || value >= limit) {
                    throw UsageException("${spec.name} has $value, which is not from 0 to ${limit - 1}")
                }
            }
        }
        return length
    }
}
