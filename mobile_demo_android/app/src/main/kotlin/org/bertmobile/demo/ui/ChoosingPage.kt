package org.bertmobile.demo.ui

import android.view.View
import android.view.ViewGroup
import android.widget.TextView
import org.bertmobile.demo.Demo
import org.bertmobile.demo.R
import org.bertmobile.demo.Screen

/** The bundles to choose from. */
class ChoosingPage(override val view: View, private val demo: Demo, chooseFolder: () -> Unit) : Page {
    private val problem = view.findViewById<TextView>(R.id.problem)
    private val none = view.findViewById<View>(R.id.none)
    private val bundles = view.findViewById<ViewGroup>(R.id.bundles)

    init {
        view.findViewById<View>(R.id.folder).setOnClickListener { chooseFolder() }
    }

    override fun update(screen: Screen): Boolean {
        if (screen !is Screen.Choosing) return false
        problem.showOrHide(screen.problem?.let(view.context::words))
        none.visibility = if (screen.bundles.isEmpty()) View.VISIBLE else View.GONE
        bundles.removeAllViews()
        for (name in screen.bundles) {
            bundles.addButton(name) { demo.open(name) }.contentDescription =
                view.resources.getString(R.string.open_bundle, name)
        }
        return true
    }
}
