package org.bertmobile.engine.ort

import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtLoggingLevel
import ai.onnxruntime.OrtSession
import org.bertmobile.core.Accelerator
import org.bertmobile.core.Bundle
import org.bertmobile.core.BundleException
import org.bertmobile.core.Engine
import org.bertmobile.core.EngineException
import org.bertmobile.core.EngineFacts
import org.bertmobile.core.SessionEngine
import org.bertmobile.core.UsageException
import org.bertmobile.core.atLeastOne
import org.bertmobile.core.requireMemoryFor
import org.bertmobile.core.usualThreads
import org.bertmobile.core.withMemory

/** ONNX Runtime: runs bundles for `onnx`, `.onnx` and `.ort` files alike, on the CPU. */
object OnnxRuntime {
    private const val NAME = "onnxruntime"

    /**
     * Load the model of a bundle.
     *
     * @param threads of the CPU, for each run.
     * @throws UsageException no threads.
     * @throws BundleException a bundle for another target, or a model that ONNX Runtime cannot load.
     * @throws EngineException no memory for the model, or an app without ONNX Runtime's library.
     */
    fun open(bundle: Bundle, threads: Int = usualThreads()): Engine {
        val manifest = bundle.manifest
        if (manifest.target != "onnx") {
            throw BundleException("${manifest.name} is a bundle for ${manifest.target}; export it with --target onnx")
        }
        atLeastOne("threads", threads)
        requireMemoryFor(bundle.model)
        val environment = environment()
        val model = withMemory("load ${bundle.model.name}") { load(environment, bundle, threads) }
        return SessionEngine(manifest, EngineFacts(NAME, environment.version, Accelerator.CPU.spelling, threads), model)
    }

    /** One for the whole process, as ONNX Runtime has it. It is never closed: other code may use it too. */
    private fun environment(): OrtEnvironment = try {
        // What the library logs as an error it throws, too.
        OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL, OrtEnvironment.DEFAULT_NAME)
            // The releases that this project uses have nothing to send; a later one may.
            .apply { setTelemetry(false) }
    } catch (failure: LinkageError) {
        // A class that cannot be initialised says nothing, but the last of its causes does.
        val cause = generateSequence<Throwable>(failure) { it.cause }.last()
        throw EngineException(
            "this app has no ONNX Runtime for this processor (${cause.message}); " +
                "use a device with arm64-v8a or x86_64, or add its library to the app",
            failure,
        )
    } catch (failure: OrtException) {
        throw EngineException("ONNX Runtime cannot start: ${failure.reason}; start the app again", failure)
    }

    private fun load(environment: OrtEnvironment, bundle: Bundle, threads: Int): OrtModel {
        val file = bundle.model
        val options = OrtSession.SessionOptions()
        var session: OrtSession? = null
        try {
            options.setIntraOpNumThreads(threads)
            options.setInterOpNumThreads(1)
            options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL)
            // An .ort file is mapped into memory, and its weights are read where they lie; no other file heeds this.
            options.addConfigEntry("session.use_memory_mapped_ort_model", "1")
            options.addConfigEntry("session.use_ort_model_bytes_for_initializers", "1")
            session = environment.createSession(file.path, options)
            return OrtModel(environment, options, session, bundle.manifest)
        } catch (failure: Throwable) {
            session?.close()
            options.close()
            if (failure !is OrtException) throw failure
            if (failure.isOutOfMemory) throw OutOfMemoryError(failure.reason)
            throw BundleException(
                "ONNX Runtime cannot load ${file.name}: ${failure.reason}; export the bundle again",
                failure,
            )
        }
    }
}

/** What went wrong, on one line. */
internal val OrtException.reason: String get() = message.orEmpty().split(Regex("\\s+")).joinToString(" ")

/** ONNX Runtime has no code of its own for this. */
internal val OrtException.isOutOfMemory: Boolean
    get() = listOf("bad_alloc", "bad allocation", "Failed to allocate memory").any { it in reason }
