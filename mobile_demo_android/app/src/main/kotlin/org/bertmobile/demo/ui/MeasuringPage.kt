package org.bertmobile.demo.ui

import android.view.View
import android.view.ViewGroup
import android.widget.ProgressBar
import android.widget.TextView
import org.bertmobile.demo.Demo
import org.bertmobile.demo.ENOUGH
import org.bertmobile.demo.R
import org.bertmobile.demo.Screen

/** How fast the model is, for each of its lengths. */
class MeasuringPage(override val view: View, demo: Demo, screen: Screen.Measuring) : Page {
    private val resources = view.resources
    private val lengths = view.findViewById<ViewGroup>(R.id.lengths)
    private val done = view.findViewById<ProgressBar>(R.id.done)
    private val problem = view.findViewById<TextView>(R.id.problem)
    private val status = view.findViewById<TextView>(R.id.status)

    init {
        view.findViewById<TextView>(R.id.facts).text = resources.words(screen.model)
        view.findViewById<TextView>(R.id.explained).text =
            resources.getString(R.string.measure_explained, ENOUGH.runs, ENOUGH.seconds.toInt())
        for (length in screen.model.lengths) {
            lengths.addButton(resources.getString(R.string.measure_length, length)) { demo.measure(length) }
        }
    }

    override fun update(screen: Screen): Boolean {
        if (screen !is Screen.Measuring) return false
        val share = screen.done
        view.keepScreenOn = share != null
        for (index in 0 until lengths.childCount) lengths.getChildAt(index).isEnabled = share == null
        done.visibility = if (share == null) View.GONE else View.VISIBLE
        if (share != null) done.progress = (share * done.max).toInt()
        problem.showOrHide(screen.problem?.let(view.context::words))
        // While it is measured the bar says how far it is: reading a number out a hundred times helps nobody.
        status.showOrHide(screen.report?.let { resources.words(it) })
        return true
    }
}
