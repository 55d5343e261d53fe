package org.bertmobile.demo.ui

import android.view.View
import android.widget.TextView
import org.bertmobile.demo.R
import org.bertmobile.demo.Screen

/** A bundle is being loaded. */
class OpeningPage(override val view: View) : Page {
    private val status = view.findViewById<TextView>(R.id.status)

    override fun update(screen: Screen): Boolean {
        if (screen !is Screen.Opening) return false
        val name = screen.bundle
        status.showOrHide(
            if (name == null) view.resources.getString(R.string.copying)
            else view.resources.getString(R.string.opening, name),
        )
        return true
    }
}
