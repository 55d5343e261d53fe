package org.bertmobile.demo

/** What the activity shows. */
sealed interface Screen {
    /** The bundles to choose from, null until they are known, and why none is open where that is news. */
    data class Choosing(val bundles: List<Shelved>?, val problem: Problem?) : Screen

    /** A bundle is being loaded; null for one that is being copied and whose name is not known yet. */
    data class Opening(val bundle: String?) : Screen

    /**
     * The screen of the model's task.
     *
     * @property answer the newest, which stays while the next is found.
     */
    data class Asking(val model: ModelFacts, val answer: Answer?, val problem: Problem?) : Screen {
        val fields: List<Field> get() = fieldsOf(model.task)
    }

    /** The golden answers are being compared, until there is a [report] or a [problem]. */
    data class Checking(val model: ModelFacts, val report: CheckReport?, val problem: Problem?) : Screen

    /** The model is measured; [done] is from 0 to 1 while it is, and null before and after. */
    data class Measuring(
        val model: ModelFacts,
        val done: Double?,
        val report: BenchmarkReport?,
        val problem: Problem?,
    ) : Screen
}

/** What outlives the app's process; the shelf has the [bundle] under this name. */
data class Saved(val bundle: String, val texts: List<String>)
