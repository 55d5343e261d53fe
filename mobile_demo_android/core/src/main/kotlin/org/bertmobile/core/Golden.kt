package org.bertmobile.core

import kotlin.math.abs
import kotlin.math.sqrt

/** How far a device's output may be from the exporting machine's, and from PyTorch's. */
data class Tolerance(val maxAbs: Double, val cosine: Double)

/** Some values of an output: flat [indices], what float32 PyTorch gives, and what the exporting machine gave. */
class GoldenOutput(val indices: IntArray, val reference: DoubleArray, val engine: DoubleArray)

/** One text with its inputs, without padding, and outputs. */
class GoldenCase(
    val text: String,
    val pair: String?,
    val bucket: Int,
    val inputs: Map<String, IntArray>,
    val outputs: Map<String, GoldenOutput>,
)

/**
 * How an output compared.
 *
 * @property maxAbs largest difference from the exporting machine's engine.
 * @property cosine likeness to PyTorch's.
 */
data class GoldenResult(val case: Int, val output: String, val maxAbs: Double, val cosine: Double, val passed: Boolean)

/** Inputs and outputs that a device checks itself against, without PyTorch. */
class Golden private constructor(val tolerance: Map<String, Tolerance>, val cases: List<GoldenCase>) {
    /** Run all cases and compare. */
    fun check(manifest: Manifest, engine: Engine): List<GoldenResult> = cases.flatMapIndexed { number, case ->
        val outputs = engine.run(padded(manifest, case))
        case.outputs.map { (name, expected) ->
            val limit = tolerance[name] ?: throw BundleException("$FILE has no tolerance for $name; $AGAIN")
            compare(number, name, expected, outputs.output(name).values, limit)
        }
    }

    private fun padded(manifest: Manifest, case: GoldenCase) = manifest.inputs.associate { spec ->
        val values = case.inputs[spec.name]
            ?: throw BundleException("$FILE has no ${spec.name}; $AGAIN")
        val size = when {
            manifest.dynamic && spec.shape[1] == TensorSpec.LENGTH -> values.size
            spec.shape[1] == TensorSpec.LENGTH -> case.bucket
            else -> spec.shape[1]
        }
        val row = values.copyOf(size)
        if (spec.name == "input_ids" && values.size < size) row.fill(manifest.tokenizer.pad.id, values.size, size)
        spec.name to IntTensor(intArrayOf(1, size), row)
    }

    private fun compare(
        case: Int,
        name: String,
        expected: GoldenOutput,
        values: FloatArray,
        limit: Tolerance,
    ): GoldenResult {
        var largest = 0.0
        var product = 0.0
        var own = 0.0
        var others = 0.0
        for ((place, index) in expected.indices.withIndex()) {
            val value = values.getOrNull(index)?.toDouble()
                ?: throw BundleException("the model gives only ${values.size} numbers of $name; $AGAIN")
            val reference = expected.reference[place]
            // Written so that a NaN is the largest.
            val difference = abs(value - expected.engine[place])
            if (!(difference <= largest)) largest = difference
            product += value * reference
            own += value * value
            others += reference * reference
        }
        val cosine = product / sqrt(own * others)
        return GoldenResult(case, name, largest, cosine, largest <= limit.maxAbs && cosine >= limit.cosine)
    }

    companion object {
        const val FILE = "golden.json"
        private const val AGAIN = JsonFields.EXPORT_AGAIN

        /**
         * Read golden answers.
         *
         * @param where names the file in messages.
         * @throws BundleException no valid golden answers.
         */
        fun parse(json: String, where: String = FILE): Golden {
            val fields = JsonFields(parseJsonOf(json, where), where)
            val version = fields.int("schema_version")
            if (version != Manifest.SCHEMA_VERSION) {
                throw BundleException("$where has schema version $version, which this app cannot read; update the app")
            }
            val tolerance = fields.members("tolerance") { members, output ->
                members.only(output) { Tolerance(it.double("max_abs"), it.double("cosine")).also { _ -> it.finish() } }
            }
            val cases = fields.objects("cases", ::case)
            // What compares nothing would pass.
            if (cases.isEmpty()) fields.wrong<Nothing>("cases", "a list of one or more")
            return Golden(tolerance, cases).also { fields.finish() }
        }

        private fun case(fields: JsonFields): GoldenCase {
            fields.int("tokens", least = 1)
            val outputs = fields.members("outputs") { members, output -> members.only(output, ::output) }
            if (outputs.isEmpty()) fields.wrong<Nothing>("outputs", "an object of one or more")
            return GoldenCase(
                text = fields.string("text"),
                pair = fields.stringOrNull("pair"),
                bucket = fields.int("bucket", least = 1),
                inputs = fields.members("inputs") { members, input -> members.ints(input) },
                outputs = outputs,
            ).also { fields.finish() }
        }

        private fun output(fields: JsonFields): GoldenOutput {
            val indices = fields.ints("indices")
            val reference = fields.doubles("reference")
            val engine = fields.doubles("engine")
            if (reference.size != indices.size || engine.size != indices.size) {
                fields.wrong<Nothing>("indices", "as long as the values")
            }
            fields.finish()
            return GoldenOutput(indices, reference, engine)
        }
    }
}
