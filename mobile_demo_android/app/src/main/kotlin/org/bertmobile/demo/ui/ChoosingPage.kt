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
    private val none = view.findViewById<TextView>(R.id.none)
    private val bundles = view.findViewById<ViewGroup>(R.id.bundles)

    init {
        view.findViewById<View>(R.id.folder).setOnClickListener { chooseFolder() }
    }

    override fun update(screen: Screen): Boolean {
        if (screen !is Screen.Choosing) return false
        problem.showOrHide(screen.problem?.let(view.context::words))
        none.showOrHide(
            when (screen.bundles?.size) {
                null -> view.resources.getString(R.string.choose_looking)
                0 -> view.resources.getString(R.string.choose_none)
                else -> null
            },
        )
        bundles.removeAllViews()
        for ((name, chosen) in screen.bundles.orEmpty()) {
            bundles.addButton(name) { demo.open(name) }.contentDescription =
                view.resources.getString(R.string.open_bundle, name)
            if (chosen) bundles.addButton(view.resources.getString(R.string.remove_bundle, name)) { demo.remove(name) }
        }
        return true
    }
}
