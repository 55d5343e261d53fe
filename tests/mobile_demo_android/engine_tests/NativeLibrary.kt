package org.bertmobile.engine.litert

import com.sun.jna.Memory
import com.sun.jna.NativeLibrary
import com.sun.jna.Pointer
import com.sun.jna.ptr.LongByReference
import com.sun.jna.ptr.PointerByReference
import java.io.File
import org.bertmobile.core.Accelerator

/**
 * The C API of `libLiteRt.so` 2.3, for a JVM that is no Android.
 *
 * Functions: https://github.com/google-ai-edge/LiteRT/tree/main/litert/c
 */
internal class NativeLiteRt(path: String) : Library {
    private val library = NativeLibrary.getInstance(path)

    override fun load(model: File, accelerator: Accelerator, threads: Int, weightCache: File?): LoadedModel {
        val wanted = HARDWARE.getValue(accelerator)
        val loaded = NativeModel(this)
        try {
            loaded.environment = made("LiteRtCreateEnvironment", OPTIONS, environmentOptions(wanted))
            if (!isRegistered(loaded.environment!!, wanted)) throw LibraryException("there is no $accelerator")
            loaded.model = made("LiteRtCreateModelFromFile", loaded.environment, model.path)
            loaded.compiled = compiled(loaded, wanted, threads, weightCache)
            return loaded
        } catch (failure: LibraryException) {
            loaded.close()
            throw failure
        }
    }

    private fun compiled(loaded: NativeModel, wanted: Int, threads: Int, weightCache: File?): Pointer {
        val options = made("LiteRtCreateOptions")
        try {
            call("LiteRtSetOptionsHardwareAccelerators", options, wanted)
            if (wanted == HARDWARE.getValue(Accelerator.CPU)) {
                call("LiteRtAddOpaqueOptions", options, cpuOptions(threads, weightCache))
            }
            return made("LiteRtCreateCompiledModel", loaded.environment, loaded.model, options)
        } finally {
            drop("LiteRtDestroyOptions", options)
        }
    }

    /** The library takes the text over, and frees it. */
    private fun cpuOptions(threads: Int, weightCache: File?): Pointer {
        val toml = "num_threads = $threads\n" + weightCache?.let { "weight_cache_file_path = \"$it\"\n" }.orEmpty()
        val process = NativeLibrary.getProcess()
        val text = process.getFunction("strdup").invokePointer(arrayOf(toml))
        return made("LiteRtCreateOpaqueOptions", "xnnpack", text, process.getFunction("free"))
    }

    private fun environmentOptions(accelerators: Int) = Memory(OPTIONS * OPTION_BYTES).apply {
        clear()
        for ((place, option) in listOf(ACCELERATORS_TAG to accelerators, SEVERITY_TAG to ERRORS_ONLY).withIndex()) {
            setInt(place * OPTION_BYTES, option.first)
            setInt(place * OPTION_BYTES + Long.SIZE_BYTES, ANY_INT)
            setLong(place * OPTION_BYTES + 2 * Long.SIZE_BYTES, option.second.toLong())
        }
    }

    private fun isRegistered(environment: Pointer, wanted: Int): Boolean {
        val count = count("LiteRtGetNumAccelerators", environment)
        return (0 until count).any { index ->
            val accelerator = made("LiteRtGetAccelerator", environment, index)
            count("LiteRtGetAcceleratorHardwareSupport", accelerator).toInt() and wanted != 0
        }
    }

    fun call(name: String, vararg arguments: Any?) {
        val status = library.getFunction(name).invokeInt(arguments)
        if (status != 0) throw LibraryException("$name gives status $status")
    }

    /** What a function writes to its last argument. */
    fun made(name: String, vararg arguments: Any?): Pointer {
        val result = PointerByReference()
        call(name, *arguments, result)
        return result.value
    }

    fun count(name: String, vararg arguments: Any?): Long {
        val result = LongByReference()
        call(name, *arguments, result)
        return result.value
    }

    fun text(name: String, vararg arguments: Any?): String = made(name, *arguments).getString(0)

    fun drop(name: String, handle: Pointer) {
        library.getFunction(name).invokeVoid(arrayOf(handle))
    }

    private companion object {
        val HARDWARE = mapOf(Accelerator.CPU to 1, Accelerator.GPU to 2, Accelerator.NPU to 4)
        const val ACCELERATORS_TAG = 24
        const val SEVERITY_TAG = 25
        const val ERRORS_ONLY = 3
        const val ANY_INT = 2
        const val OPTIONS = 2L
        const val OPTION_BYTES = 24L
    }
}

private class NativeModel(private val native: NativeLiteRt) : LoadedModel {
    var environment: Pointer? = null
    var model: Pointer? = null
    var compiled: Pointer? = null

    override fun signature(name: String, inputs: List<String>, outputs: List<String>): Signature {
        val count = native.count("LiteRtGetNumModelSignatures", model)
        for (index in 0 until count) {
            val signature = native.made("LiteRtGetModelSignature", model, index)
            if (native.text("LiteRtGetSignatureKey", signature) != name) continue
            return NativeSignature(
                native,
                checkNotNull(compiled),
                index,
                buffers(signature, index, "Input", inputs),
                buffers(signature, index, "Output", outputs),
            )
        }
        throw LibraryException("the model has no signature $name")
    }

    /** Buffers in the order of the model, by name. */
    private fun buffers(signature: Pointer, index: Long, side: String, wanted: List<String>): Map<String, Pointer> {
        val buffers = LinkedHashMap<String, Pointer>()
        for (place in 0 until native.count("LiteRtGetNumSignature${side}s", signature)) {
            val tensor = native.made("LiteRtGetSignature${side}TensorByIndex", signature, place)
            val type = Memory(TENSOR_TYPE_BYTES).apply { clear() }
            native.call("LiteRtGetRankedTensorType", tensor, type)
            val needs = native.made("LiteRtGetCompiledModel${side}BufferRequirements", compiled, index, place)
            buffers[native.text("LiteRtGetSignature${side}Name", signature, place)] =
                native.made("LiteRtCreateManagedTensorBufferFromRequirements", environment, type, needs)
        }
        if (buffers.keys != wanted.toSet()) throw LibraryException("the model has ${buffers.keys}, not $wanted")
        return buffers
    }

    override fun close() {
        compiled?.let { native.drop("LiteRtDestroyCompiledModel", it) }
        model?.let { native.drop("LiteRtDestroyModel", it) }
        environment?.let { native.drop("LiteRtDestroyEnvironment", it) }
    }

    private companion object {
        // More than LiteRtRankedTensorType has: the library fills it and reads it back.
        const val TENSOR_TYPE_BYTES = 256L
    }
}

private class NativeSignature(
    private val native: NativeLiteRt,
    private val compiled: Pointer,
    private val index: Long,
    private val inputs: Map<String, Pointer>,
    private val outputs: Map<String, Pointer>,
) : Signature {
    private val inputHandles = handles(inputs.values)
    private val outputHandles = handles(outputs.values)

    override fun write(input: String, values: IntArray) = locked(inputs.getValue(input), WRITE) { memory, bytes ->
        if (bytes != values.size.toLong() * Int.SIZE_BYTES) throw LibraryException("$input has room for $bytes bytes")
        memory.write(0, values, 0, values.size)
    }

    override fun run() = native.call(
        "LiteRtRunCompiledModel",
        compiled,
        index,
        inputs.size.toLong(),
        inputHandles,
        outputs.size.toLong(),
        outputHandles,
    )

    override fun read(output: String): FloatArray = locked(outputs.getValue(output), READ) { memory, bytes ->
        memory.getFloatArray(0, (bytes / Float.SIZE_BYTES).toInt())
    }

    private inline fun <T> locked(buffer: Pointer, mode: Int, action: (Pointer, Long) -> T): T {
        val bytes = native.count("LiteRtGetTensorBufferPackedSize", buffer)
        val memory = PointerByReference()
        native.call("LiteRtLockTensorBuffer", buffer, memory, mode)
        try {
            return action(memory.value, bytes)
        } finally {
            native.call("LiteRtUnlockTensorBuffer", buffer)
        }
    }

    private fun handles(buffers: Collection<Pointer>) = Memory(buffers.size.toLong() * Long.SIZE_BYTES).apply {
        buffers.forEachIndexed { place, buffer -> setPointer(place.toLong() * Long.SIZE_BYTES, buffer) }
    }

    override fun close() = (inputs.values + outputs.values).forEach { native.drop("LiteRtDestroyTensorBuffer", it) }

    private companion object {
        const val READ = 0
        const val WRITE = 1
    }
}
