package org.bertmobile.demo

import java.io.File
import org.bertmobile.core.Bundle
import org.bertmobile.core.BundleException
import org.bertmobile.core.Engine
import org.bertmobile.engine.litert.LiteRt
import org.bertmobile.engine.ort.OnnxRuntime

/**
 * The engine that a bundle's target wants.
 *
 * @param cacheFolder where an engine may keep what it makes of a model.
 */
class Engines(private val cacheFolder: File) : EngineFactory {
    override fun open(bundle: Bundle, threads: Int): Engine = when (val target = bundle.manifest.target) {
        "tflite" -> LiteRt.open(bundle, cacheFolder, threads)
        "onnx" -> OnnxRuntime.open(bundle, threads)
        else -> throw BundleException(
            "${bundle.manifest.name} is a bundle for $target; export one for Android: --target tflite or --target onnx",
        )
    }
}
