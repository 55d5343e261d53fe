package org.bertmobile.engine.litert

import java.io.File
import org.bertmobile.core.Accelerator
import org.bertmobile.core.Bundle
import org.bertmobile.core.BundleException
import org.bertmobile.core.Engine
import org.bertmobile.core.EngineException
import org.bertmobile.core.UsageException
import org.bertmobile.core.usualThreads

/** LiteRT: runs bundles for `tflite` on the CPU, the GPU or an NPU. */
object LiteRt {
    /**
     * Load the model of a bundle.
     *
     * @param cacheFolder where packed weights are kept for later loads, such as `Context.cacheDir`; only the app may be
     *   able to write there. It may be emptied while no model is being loaded.
     * @param threads of the CPU, for each run.
     * @param accelerator what to use if it can run the model. Where it cannot, the CPU does: the log has a warning with
     *   the reason, and the engine's facts have the one that is used.
     * @param npuLibraries the folder of an NPU maker's libraries, such as `ApplicationInfo.nativeLibraryDir`; without
     *   it there is no NPU.
     * @throws UsageException no threads.
     * @throws BundleException a bundle for another target, or a model that LiteRT cannot load.
     * @throws EngineException no memory for the model, or an app without LiteRT's library.
     */
    fun open(
        bundle: Bundle,
        cacheFolder: File,
        threads: Int = usualThreads(),
        accelerator: Accelerator = Accelerator.CPU,
        npuLibraries: File? = null,
    ): Engine = Opening(CompiledModelLibrary(npuLibraries), bundle, cacheFolder, threads).engine(accelerator)
}
