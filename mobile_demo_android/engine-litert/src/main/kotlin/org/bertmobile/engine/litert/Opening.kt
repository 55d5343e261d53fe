package org.bertmobile.engine.litert

import java.io.File
import java.io.IOException
import java.util.logging.Logger
import org.bertmobile.core.Accelerator
import org.bertmobile.core.Bundle
import org.bertmobile.core.BundleException
import org.bertmobile.core.Engine
import org.bertmobile.core.EngineException
import org.bertmobile.core.EngineFacts
import org.bertmobile.core.Manifest
import org.bertmobile.core.SessionEngine
import org.bertmobile.core.atLeastOne
import org.bertmobile.core.requireMemoryFor
import org.bertmobile.core.withMemory

/** Opens a bundle in LiteRT; see [LiteRt.open]. */
internal class Opening(
    private val library: Library,
    private val bundle: Bundle,
    cacheFolder: File,
    private val threads: Int,
) {
    private val manifest = bundle.manifest
    private val file = bundle.model
    private val cacheFolder = File(cacheFolder, CACHE)
    private val log = Logger.getLogger("org.bertmobile.engine.litert")

    fun engine(accelerator: Accelerator): Engine {
        check(manifest)
        atLeastOne("threads", threads)
        requireMemoryFor(file)
        val (model, used) = try {
            withMemory("load ${file.name}") {
                accelerated(accelerator)?.let { it to accelerator } ?: (onCpu() to Accelerator.CPU)
            }
        } catch (failure: LibraryException) {
            // LiteRT does not always tell a lack of memory from a wrong file.
            throw BundleException(
                "LiteRT cannot load ${file.name}: ${failure.message}; " +
                    "close other apps, in case memory is short, or export the bundle again",
                failure,
            )
        } catch (failure: LinkageError) {
            throw EngineException(
                "this app has no LiteRT for this processor (${failure.message}); " +
                    "use a device with arm64-v8a or x86_64, or add its library to the app",
                failure,
            )
        }
        // LiteRT has nothing that tells its version.
        val facts = EngineFacts("litert", version = null, used.spelling, threads)
        return SessionEngine(manifest, facts, LiteRtModel(model, manifest))
    }

    /** The model on another accelerator than the CPU, or null where that cannot be. */
    private fun accelerated(accelerator: Accelerator): LoadedModel? = if (accelerator == Accelerator.CPU) {
        null
    } else {
        try {
            library.load(file, accelerator, threads, weightCache = null)
        } catch (failure: LibraryException) {
            log.warning("${manifest.name} runs on the CPU, not on the $accelerator: ${failure.message}")
            null
        }
    }

    private fun onCpu(): LoadedModel {
        val cache = cache() ?: return library.load(file, Accelerator.CPU, threads, weightCache = null)
        val model = try {
            library.load(file, Accelerator.CPU, threads, cache.file)
        } catch (failure: LibraryException) {
            // A cache that cannot be used must not keep the model from loading.
            cache.discard()
            return library.load(file, Accelerator.CPU, threads, weightCache = null).also {
                log.warning("${manifest.name} is loaded without its cache of weights: ${failure.message}")
            }
        }
        cache.finish()
        return model
    }

    private fun cache(): WeightCache? = try {
        val cache = WeightCache.of(cacheFolder, manifest.files.getValue(manifest.modelFile).sha256)
        if (cache.hasRoom(file.length())) cache else null.also { log.warning("no room for a cache in $cacheFolder") }
    } catch (failure: IOException) {
        log.warning("no cache of weights: ${failure.message}")
        null
    }

    companion object {
        /** The folder's own, since others may have files in the one that it is in. */
        const val CACHE = "litert-weights"
    }
}

private fun check(manifest: Manifest) {
    if (manifest.target != "tflite") {
        throw BundleException("${manifest.name} is a bundle for ${manifest.target}; export it with --target tflite")
    }
    // LiteRT's buffers hold what the model wants, and convert nothing.
    val wrong = manifest.inputs.filter { it.dtype != "int32" } + manifest.outputs.filter { it.dtype != "float32" }
    for (spec in wrong) {
        throw BundleException("${manifest.name} has ${spec.name} as ${spec.dtype}, which no bundle for LiteRT has")
    }
}
