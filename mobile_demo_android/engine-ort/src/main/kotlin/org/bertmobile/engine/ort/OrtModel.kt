package org.bertmobile.engine.ort

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtSession
import java.nio.Buffer
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.bertmobile.core.BundleException
import org.bertmobile.core.EngineException
import org.bertmobile.core.FloatTensor
import org.bertmobile.core.IntTensor
import org.bertmobile.core.Manifest
import org.bertmobile.core.Session
import org.bertmobile.core.TensorSpec

/** A model in ONNX Runtime, which wants [options] to be there as long as the session is. */
internal class OrtModel(
    private val environment: OrtEnvironment,
    private val options: OrtSession.SessionOptions,
    private val session: OrtSession,
    manifest: Manifest,
) : Session {
    private val inputs = manifest.inputs.associate { it.name to InputBuffer(it, manifest.lengths.last()) }
    private val outputs = manifest.outputs.mapTo(LinkedHashSet()) { it.name }

    override fun run(length: Int, inputs: Map<String, IntTensor>): Map<String, FloatTensor> {
        val tensors = HashMap<String, OnnxTensor>()
        try {
            for ((name, buffer) in this.inputs) tensors[name] = buffer.tensor(environment, inputs.getValue(name))
            return session.run(tensors, outputs).use { results ->
                results.associate { (name, value) -> name to floats(name, value as OnnxTensor) }
            }
        } catch (failure: OrtException) {
            if (failure.isOutOfMemory) throw OutOfMemoryError(failure.reason)
            throw EngineException("ONNX Runtime cannot run it: ${failure.reason}; open the bundle again", failure)
        } finally {
            tensors.values.forEach(OnnxTensor::close)
        }
    }

    override fun close() {
        session.close()
        options.close()
    }

    /** The library's copy, which it has widened where the model gives float16. */
    private fun floats(name: String, tensor: OnnxTensor): FloatTensor {
        val values = tensor.floatBuffer
            ?: throw BundleException("the model gives no floating-point numbers as $name; export the bundle again")
        return FloatTensor(tensor.info.shape.map(Long::toInt).toIntArray(), values.array())
    }
}

/** Memory for one input, as long as the longest run; ONNX Runtime reads it where it is. */
private class InputBuffer(spec: TensorSpec, longest: Int) {
    private val wide = spec.dtype == "int64"
    private val bytes = spec.shape.fold(if (wide) Long.SIZE_BYTES else Int.SIZE_BYTES) { product, size ->
        product * when (size) {
            TensorSpec.LENGTH -> longest
            TensorSpec.BATCH -> 1
            else -> size
        }
    }
    private val memory = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder())

    fun tensor(environment: OrtEnvironment, values: IntTensor): OnnxTensor {
        val shape = LongArray(values.shape.size) { values.shape[it].toLong() }
        if (!wide) {
            val numbers = memory.asIntBuffer().put(values.values)
            return OnnxTensor.createTensor(environment, numbers.apply(::flip), shape)
        }
        val numbers = memory.asLongBuffer()
        for (value in values.values) numbers.put(value.toLong())
        return OnnxTensor.createTensor(environment, numbers.apply(::flip), shape)
    }

    /** Old Androids have this method of all buffers only, and not those that return a buffer's own type. */
    private fun flip(buffer: Buffer) {
        buffer.flip()
    }
}
