package org.bertmobile.core

/**
 * Runs the model of one bundle.
 *
 * The shape of `input_ids`, [1, bucket], says which of the model's signatures is meant. All inputs are whole numbers
 * and all outputs are read as float32, so an engine widens the ones and narrows or widens the others where its model
 * has other types.
 *
 * Threads may share an engine, and take turns. [close] waits for a run that another thread is in; closing again does
 * nothing.
 */
interface Engine : AutoCloseable {
    /** What really runs the model. */
    val facts: EngineFacts

    /**
     * Run the model once.
     *
     * @param inputs the manifest's inputs by name.
     * @return the manifest's outputs by name, which are the caller's own.
     * @throws UsageException inputs that the model does not take, or an engine that was closed.
     * @throws EngineException the library cannot run them, or has no memory for it.
     */
    fun run(inputs: Map<String, IntTensor>): Map<String, FloatTensor>
}

/**
 * What runs a model.
 *
 * @property name `litert` or `onnxruntime`.
 * @property version of the runtime's library; null where it does not say.
 * @property accelerator spelling of the [Accelerator] that is used, which may be another than was asked for.
 * @property threads of the CPU.
 */
class EngineFacts(val name: String, val version: String?, val accelerator: String, val threads: Int)

/** Threads for an engine: half of the processors, at most four. A phone's slow processors hold up its fast ones. */
fun usualThreads(): Int = (Runtime.getRuntime().availableProcessors() / 2).coerceIn(1, 4)

/** Where a model can be run; [spelling] is that of settings and results. */
enum class Accelerator(val spelling: String) { CPU("cpu"), GPU("gpu"), NPU("npu") }

internal fun Map<String, FloatTensor>.output(name: String): FloatTensor =
    this[name] ?: throw BundleException("the model gives no $name, but $keys; export the bundle again")
