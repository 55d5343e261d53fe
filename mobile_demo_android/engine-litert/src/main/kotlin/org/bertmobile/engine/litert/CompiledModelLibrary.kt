package org.bertmobile.engine.litert

import com.google.ai.edge.litert.Accelerator as LiteRtAccelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.Environment
import com.google.ai.edge.litert.LiteRtException
import com.google.ai.edge.litert.TensorBuffer
import java.io.File
import org.bertmobile.core.Accelerator

/** LiteRT's Kotlin API, on Android. */
internal class CompiledModelLibrary(private val npuLibraries: File?) : Library {
    override fun load(model: File, accelerator: Accelerator, threads: Int, weightCache: File?): LoadedModel = failing {
        val environment = Environment.create(places())
        try {
            val wanted = accelerator.inLiteRt()
            // Asked for an NPU that is not there, LiteRT would use the CPU and not say so.
            if (accelerator != Accelerator.CPU && wanted !in environment.getAvailableAccelerators()) {
                throw LibraryException("this app has no $accelerator for this device")
            }
            val options = CompiledModel.Options(wanted)
            if (accelerator != Accelerator.GPU) {
                options.cpuOptions =
                    CompiledModel.CpuOptions(numThreads = threads, xnnPackWeightCachePath = weightCache?.path)
            }
            Compiled(environment, CompiledModel.create(model.path, options, environment))
        } catch (failure: Throwable) {
            environment.close()
            throw failure
        }
    }

    private fun places(): Map<Environment.Option, String> = npuLibraries?.path?.let {
        mapOf(Environment.Option.DispatchLibraryDir to it, Environment.Option.CompilerPluginLibraryDir to it)
    }.orEmpty()
}

private class Compiled(private val environment: Environment, private val model: CompiledModel) : LoadedModel {
    override fun signature(name: String, inputs: List<String>, outputs: List<String>): Signature = failing {
        val made = ArrayList<TensorBuffer>()
        try {
            Buffers(
                model,
                name,
                inputs.associateWith { model.createInputBuffer(it, name).also(made::add) },
                outputs.associateWith { model.createOutputBuffer(it, name).also(made::add) },
            )
        } catch (failure: Throwable) {
            made.forEach(TensorBuffer::close)
            throw failure
        }
    }

    override fun close() {
        model.close()
        environment.close()
    }
}

private class Buffers(
    private val model: CompiledModel,
    private val name: String,
    private val inputs: Map<String, TensorBuffer>,
    private val outputs: Map<String, TensorBuffer>,
) : Signature {
    override fun write(input: String, values: IntArray) = failing { inputs.getValue(input).writeInt(values) }

    override fun run() = failing { model.run(inputs, outputs, name) }

    override fun read(output: String): FloatArray = failing { outputs.getValue(output).readFloat() }

    override fun close() = (inputs.values + outputs.values).forEach(TensorBuffer::close)
}

private fun Accelerator.inLiteRt(): LiteRtAccelerator = when (this) {
    Accelerator.CPU -> LiteRtAccelerator.CPU
    Accelerator.GPU -> LiteRtAccelerator.GPU
    Accelerator.NPU -> LiteRtAccelerator.NPU
}

private inline fun <T> failing(action: () -> T): T = try {
    action()
} catch (failure: LiteRtException) {
    throw LibraryException(failure.message.orEmpty(), failure)
} catch (failure: IllegalStateException) {
    // The library's own checks, of handles and of codes that it does not know.
    throw LibraryException(failure.message.orEmpty(), failure)
} catch (failure: IllegalArgumentException) {
    throw LibraryException(failure.message.orEmpty(), failure)
}
