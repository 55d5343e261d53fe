package org.bertmobile.engine.litert

import org.bertmobile.core.BundleException
import org.bertmobile.core.EngineException
import org.bertmobile.core.FloatTensor
import org.bertmobile.core.IntTensor
import org.bertmobile.core.Manifest
import org.bertmobile.core.Session
import org.bertmobile.core.TensorSpec

/** A model in LiteRT. Each bucket is a signature of it, which gets its memory when it is first used and keeps it. */
internal class LiteRtModel(private val model: LoadedModel, private val manifest: Manifest) : Session {
    private val signatures = HashMap<Int, Signature>()

    override fun run(length: Int, inputs: Map<String, IntTensor>): Map<String, FloatTensor> = try {
        val signature = signatures.getOrPut(length) { signature(length) }
        for ((name, tensor) in inputs) signature.write(name, tensor.values)
        signature.run()
        manifest.outputs.associate { it.name to tensor(it, length, signature.read(it.name)) }
    } catch (failure: LibraryException) {
        throw EngineException("LiteRT cannot run ${manifest.name}: ${failure.message}; open the bundle again", failure)
    }

    override fun close() {
        signatures.values.forEach(Signature::close)
        model.close()
    }

    private fun signature(length: Int): Signature = model.signature(
        manifest.signatures.getValue(length),
        manifest.inputs.map { it.name },
        manifest.outputs.map { it.name },
    )

    private fun tensor(spec: TensorSpec, length: Int, values: FloatArray): FloatTensor {
        val shape = IntArray(spec.shape.size) { if (spec.shape[it] == TensorSpec.LENGTH) length else spec.shape[it] }
        if (values.size != shape.fold(1, Int::times)) {
            throw BundleException(
                "the model gives ${values.size} numbers of ${spec.name}, not ${shape.joinToString(" x ")}; " +
                    "export the bundle again",
            )
        }
        return FloatTensor(shape, values)
    }
}
