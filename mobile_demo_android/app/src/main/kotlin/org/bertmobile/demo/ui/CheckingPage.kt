package org.bertmobile.demo.ui

import android.view.View
import android.widget.TextView
import org.bertmobile.demo.CheckReport
import org.bertmobile.demo.R
import org.bertmobile.demo.Screen

/** Whether this phone's answers are those of the exporting machine. */
class CheckingPage(override val view: View) : Page {
    private val resources = view.resources
    private val facts = view.findViewById<TextView>(R.id.facts)
    private val problem = view.findViewById<TextView>(R.id.problem)
    private val status = view.findViewById<TextView>(R.id.status)
    private val figures = view.findViewById<TextView>(R.id.figures)
    private val failures = view.findViewById<TextView>(R.id.failures)

    override fun update(screen: Screen): Boolean {
        if (screen !is Screen.Checking) return false
        val report = screen.report
        facts.text = resources.words(screen.model)
        problem.showOrHide(screen.problem?.let(view.context::words))
        status.showOrHide(
            when {
                report != null -> verdict(report)
                screen.problem == null -> resources.getString(R.string.checking)
                else -> null
            },
        )
        figures.showOrHide(
            report?.let { resources.getString(R.string.check_figures, exact(it.largest), exact(it.leastCosine)) },
        )
        failures.showOrHide(
            report?.failures?.takeIf { it.isNotEmpty() }?.joinToString("\n") {
                resources.getString(R.string.check_failure, it.text, it.output, exact(it.maxAbs), exact(it.cosine))
            },
        )
        return true
    }

    private fun verdict(report: CheckReport): String {
        val count = if (report.passed) report.cases else report.failures.size
        val words = if (report.passed) R.plurals.check_passed else R.plurals.check_failed
        return resources.getQuantityString(words, count, count)
    }
}
