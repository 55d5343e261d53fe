package org.bertmobile.demo.ui

import android.text.Editable
import android.text.InputFilter
import android.text.Spanned
import android.text.TextWatcher
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.EditText
import android.widget.ProgressBar
import android.widget.TextView
import org.bertmobile.core.TaskName
import org.bertmobile.demo.Answer
import org.bertmobile.demo.Demo
import org.bertmobile.demo.LONGEST_TEXT
import org.bertmobile.demo.ModelFacts
import org.bertmobile.demo.R
import org.bertmobile.demo.Screen

/** The screen of a task: one or two fields, and the answer to what is in them. */
class AskingPage(override val view: View, private val demo: Demo, screen: Screen.Asking) : Page {
    private val model: ModelFacts = screen.model
    private val problem = view.findViewById<TextView>(R.id.problem)
    private val cut = view.findViewById<TextView>(R.id.cut)
    private val entries = listOf(R.id.first to R.id.first_label, R.id.second to R.id.second_label)
    private val answer = AnswerView(view)

    init {
        view.findViewById<TextView>(R.id.title).setText(titleOf(model.task))
        view.findViewById<TextView>(R.id.facts).text = view.resources.words(model)
        for ((index, ids) in entries.withIndex()) {
            val (entry, label) = view.findViewById<EditText>(ids.first) to view.findViewById<TextView>(ids.second)
            val field = screen.fields.getOrNull(index)
            if (field == null) {
                entry.visibility = View.GONE
                label.visibility = View.GONE
            } else {
                label.setText(labelOf(field))
                entry.setText(demo.texts[index])
                entry.filters = arrayOf(Shortened { cut.showOrHide(it) })
                entry.addTextChangedListener(Typing { demo.type(index, it) })
            }
        }
        if (model.task == TaskName.FILL_MASK) offerMask()
        view.findViewById<View>(R.id.check).setOnClickListener { demo.check() }
        view.findViewById<View>(R.id.measure).setOnClickListener { demo.showMeasuring() }
    }

    override fun update(screen: Screen): Boolean {
        if (screen !is Screen.Asking || screen.model != model) return false
        problem.showOrHide(screen.problem?.let(view.context::words))
        answer.show(screen.answer, hasProblem = screen.problem != null)
        return true
    }

    /** Few keyboards have brackets at hand. */
    private fun offerMask() {
        val entry = view.findViewById<EditText>(R.id.first)
        val button = view.findViewById<Button>(R.id.mask)
        button.text = view.resources.getString(R.string.insert_mask, model.maskToken)
        button.visibility = View.VISIBLE
        button.setOnClickListener {
            val at = maxOf(0, entry.selectionStart)
            entry.text.replace(at, maxOf(at, entry.selectionEnd), model.maskToken)
        }
    }

    /** A text that was pasted may be longer than a field can show without the app standing still. */
    private inner class Shortened(private val told: (String?) -> Unit) : InputFilter.LengthFilter(LONGEST_TEXT) {
        override fun filter(
            source: CharSequence,
            start: Int,
            end: Int,
            dest: Spanned,
            dstart: Int,
            dend: Int,
        ): CharSequence? {
            val kept = super.filter(source, start, end, dest, dstart, dend)
            told(if (kept == null) null else view.resources.getString(R.string.text_cut, LONGEST_TEXT))
            return kept
        }
    }

    private class Typing(private val typed: (String) -> Unit) : TextWatcher {
        override fun beforeTextChanged(text: CharSequence, start: Int, count: Int, after: Int) = Unit

        override fun onTextChanged(text: CharSequence, start: Int, before: Int, count: Int) = Unit

        override fun afterTextChanged(text: Editable) = typed(text.toString())
    }
}

/** The part of a task's screen that shows answers. */
private class AnswerView(private val view: View) {
    private val resources = view.resources
    private val status = view.findViewById<TextView>(R.id.status)
    private val marked = view.findViewById<TextView>(R.id.marked)
    private val lines = view.findViewById<ViewGroup>(R.id.lines)

    fun show(answer: Answer?, hasProblem: Boolean) {
        status.showOrHide(if (hasProblem) null else resources.words(answer))
        marked.showOrHide((answer as? Answer.Marked)?.let { view.context.marked(it) })
        lines.removeAllViews()
        when (answer) {
            is Answer.Ranked -> for ((number, list) in answer.lists.withIndex()) {
                if (answer.lists.size > 1) addLine(resources.getString(R.string.gap_title, number + 1), null, null)
                for (line in list) {
                    val text = resources.getString(R.string.best_answer, line.text, decimal(line.score))
                    addLine(text, line.detail, line.score.takeIf { answer.shares })
                }
            }
            is Answer.Marked -> for (mark in answer.marks) {
                val part = answer.text.substring(mark.start, mark.end)
                addLine(resources.getString(R.string.best_answer, part, decimal(mark.score)), mark.label, mark.score)
            }
            is Answer.Embedded, null -> Unit
        }
    }

    private fun addLine(text: String, detail: String?, share: Double?) {
        val line = lines.inflate(R.layout.item_line)
        line.findViewById<TextView>(R.id.text).text = text
        line.findViewById<TextView>(R.id.detail).showOrHide(detail)
        line.findViewById<ProgressBar>(R.id.share).run {
            visibility = if (share == null) View.GONE else View.VISIBLE
            if (share != null) progress = (share * max).toInt().coerceIn(0, max)
        }
        lines.addView(line)
    }
}
