package org.bertmobile.engine

import java.io.File
import org.bertmobile.core.Accelerator
import org.bertmobile.core.Bundle
import org.bertmobile.core.Engine
import org.bertmobile.engine.litert.NativeLiteRt
import org.bertmobile.engine.litert.Opening
import org.bertmobile.engine.ort.OnnxRuntime

/** What Python says where to find. */
fun property(name: String): String =
    checkNotNull(System.getProperty("bertmobile.$name")) { "no -Dbertmobile.$name=..." }

internal val nativeLiteRt by lazy { NativeLiteRt(property("litert")) }

/** The engine of a bundle, as an app opens it, but for what of LiteRT is Android's. */
internal fun engine(
    bundle: Bundle,
    cache: File,
    threads: Int = 1,
    accelerator: Accelerator = Accelerator.CPU,
): Engine =
    if (bundle.manifest.target == "onnx") OnnxRuntime.open(bundle, threads)
    else Opening(nativeLiteRt, bundle, cache, threads).engine(accelerator)
