package org.bertmobile.core.tasks

import org.bertmobile.core.BundleException
import org.bertmobile.core.Engine
import org.bertmobile.core.FloatTensor
import org.bertmobile.core.IntTensor
import org.bertmobile.core.Manifest
import org.bertmobile.core.TaskName
import org.bertmobile.core.Tokenization
import org.bertmobile.core.output

/** What a task works with. Tasks keep no state between calls; the engine decides whether threads may share it. */
class Context(val manifest: Manifest, val tokenization: Tokenization, val engine: Engine) {
    internal fun require(task: TaskName) {
        if (manifest.task != task) {
            throw BundleException(
                "${manifest.name} is a bundle for ${manifest.task.spelling}; export one for ${task.spelling}",
            )
        }
    }

    internal fun output(name: String, inputs: Map<String, IntTensor>): FloatTensor = engine.run(inputs).output(name)
}

/** A label and its score. */
data class Label(val label: String, val score: Double)
