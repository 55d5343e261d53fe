package org.bertmobile.demo.ui

import android.view.LayoutInflater
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.TextView
import org.bertmobile.demo.Demo
import org.bertmobile.demo.R
import org.bertmobile.demo.Screen

/** Puts the page of each screen into [root]; one that is there already is only brought up to date. */
class Pages(private val root: ViewGroup, private val demo: Demo, private val chooseFolder: () -> Unit) {
    private var page: Page? = null

    /** Show a screen. */
    fun show(screen: Screen) {
        if (page?.update(screen) == true) return
        page = newPage(screen).also {
            root.removeAllViews()
            root.addView(it.view)
            it.update(screen)
        }
    }

    private fun newPage(screen: Screen): Page = when (screen) {
        is Screen.Choosing -> ChoosingPage(inflate(R.layout.page_choosing), demo, chooseFolder)
        is Screen.Opening -> OpeningPage(inflate(R.layout.page_opening))
        is Screen.Asking -> AskingPage(inflate(R.layout.page_asking), demo, screen)
        is Screen.Checking -> CheckingPage(inflate(R.layout.page_checking))
        is Screen.Measuring -> MeasuringPage(inflate(R.layout.page_measuring), demo, screen)
    }

    private fun inflate(layout: Int): View = root.inflate(layout)
}

/** The views of one kind of screen. */
interface Page {
    val view: View

    /** Show what is on a screen; false for a screen that this page cannot show. */
    fun update(screen: Screen): Boolean
}

/** Views of a layout, which are not added yet. */
internal fun ViewGroup.inflate(layout: Int): View = LayoutInflater.from(context).inflate(layout, this, false)

/** Show a text, or no view at all where there is none. */
internal fun TextView.showOrHide(words: CharSequence?) {
    // A live region reads what is set, even if it is the same again.
    if (words != null && words.toString() != text.toString()) text = words
    visibility = if (words == null) View.GONE else View.VISIBLE
}

/** Add a button to a column of them. */
internal fun ViewGroup.addButton(words: String, pressed: () -> Unit): Button {
    val button = inflate(R.layout.item_action) as Button
    button.text = words
    button.setOnClickListener { pressed() }
    addView(button)
    return button
}
