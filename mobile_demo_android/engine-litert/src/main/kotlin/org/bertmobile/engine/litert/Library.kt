package org.bertmobile.engine.litert

import java.io.File
import org.bertmobile.core.Accelerator

/** As much of LiteRT as an engine needs: its Kotlin API on Android; its C API in the tests, which have no Android. */
internal interface Library {
    /**
     * Load a model.
     *
     * @param accelerator the only one to use, but for what an NPU leaves to the CPU.
     * @param threads of the CPU.
     * @param weightCache a file for XNNPACK's packed weights, read where it exists and written where it does not.
     * @throws LibraryException LiteRT refuses the model, or has no such accelerator.
     */
    fun load(model: File, accelerator: Accelerator, threads: Int, weightCache: File?): LoadedModel
}

/** A model in memory. Its signatures are closed before it is. */
internal interface LoadedModel : AutoCloseable {
    /**
     * Memory for the inputs and outputs of a signature.
     *
     * @throws LibraryException the model has no such signature, input or output.
     */
    fun signature(name: String, inputs: List<String>, outputs: List<String>): Signature
}

/** One of a model's signatures; each of its methods throws a [LibraryException] when LiteRT fails. */
internal interface Signature : AutoCloseable {
    fun write(input: String, values: IntArray)

    fun run()

    /** The output's values, row by row; the caller's own. */
    fun read(output: String): FloatArray
}

/** LiteRT says no; its words are the message. */
internal class LibraryException(message: String, cause: Throwable? = null) : Exception(message, cause)
