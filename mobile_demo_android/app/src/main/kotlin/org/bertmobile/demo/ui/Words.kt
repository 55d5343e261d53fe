package org.bertmobile.demo.ui

import android.content.Context
import android.content.res.Resources
import android.text.SpannableString
import android.text.Spanned
import android.text.format.Formatter
import android.text.style.BackgroundColorSpan
import java.text.NumberFormat
import org.bertmobile.core.TaskName
import org.bertmobile.demo.Answer
import org.bertmobile.demo.BenchmarkReport
import org.bertmobile.demo.Doubt
import org.bertmobile.demo.Field
import org.bertmobile.demo.ModelFacts
import org.bertmobile.demo.Problem
import org.bertmobile.demo.R

internal fun titleOf(task: TaskName): Int = when (task) {
    TaskName.FILL_MASK -> R.string.task_fill_mask
    TaskName.NEXT_SENTENCE -> R.string.task_next_sentence
    TaskName.TEXT_CLASSIFICATION -> R.string.task_text_classification
    TaskName.TOKEN_CLASSIFICATION -> R.string.task_token_classification
    TaskName.QUESTION_ANSWERING -> R.string.task_question_answering
    TaskName.FEATURE_EXTRACTION -> R.string.task_feature_extraction
}

internal fun labelOf(field: Field): Int = when (field) {
    Field.TEXT -> R.string.field_text
    Field.NEXT_TEXT -> R.string.field_next_text
    Field.PAIR -> R.string.field_pair
    Field.OTHER_TEXT -> R.string.field_other_text
    Field.QUESTION -> R.string.field_question
    Field.PASSAGE -> R.string.field_passage
}

internal fun Resources.words(model: ModelFacts): String {
    val version = model.engineVersion
    val engine = if (version == null) model.engine else getString(R.string.facts_version, model.engine, version)
    val threads = getQuantityString(R.plurals.threads, model.threads, model.threads)
    return getString(R.string.facts, model.name, engine, "${model.accelerator}, $threads")
}

internal fun Context.words(problem: Problem): String = when (problem) {
    is Problem.Said -> problem.message
    is Problem.NoMemory -> getString(R.string.problem_no_memory)
    is Problem.NoRoom -> getString(
        R.string.problem_no_room,
        Formatter.formatShortFileSize(this, problem.needed),
        Formatter.formatShortFileSize(this, problem.free),
    )
    is Problem.Unreadable -> getString(R.string.problem_unreadable, problem.detail)
    is Problem.TooLong -> getString(R.string.problem_too_long, problem.length, problem.longest)
    is Problem.NoEngine -> getString(R.string.problem_no_engine)
    is Problem.EndedWhileOpening -> getString(R.string.problem_ended, problem.bundle)
    is Problem.LeftWhileMeasuring -> getString(R.string.problem_left)
    is Problem.Unexpected -> getString(R.string.problem_unexpected, problem.detail)
}

/** The answer in a line, which is read out when it changes. */
internal fun Resources.words(answer: Answer?): String = when (answer) {
    null -> getString(R.string.type_something)
    is Answer.Ranked -> answer.lists.firstOrNull()?.firstOrNull()
        ?.let { getString(R.string.best_answer, it.text, decimal(it.score)) }
        ?: getString(R.string.nothing_found)
    is Answer.Marked -> words(answer)
    is Answer.Embedded -> answer.likeness
        ?.let { getString(R.string.likeness, decimal(it)) }
        ?: getString(R.string.embedded, answer.size)
}

private fun Resources.words(answer: Answer.Marked): String {
    val first = answer.marks.firstOrNull() ?: return getString(R.string.nothing_found)
    // An answer is read out; names are many.
    if (first.label == null) return answer.text.substring(first.start, first.end)
    return getQuantityString(R.plurals.entities_found, answer.marks.size, answer.marks.size)
}

/** The text with its parts marked. */
internal fun Context.marked(answer: Answer.Marked): CharSequence = SpannableString(answer.text).apply {
    for (mark in answer.marks) {
        setSpan(BackgroundColorSpan(getColor(R.color.mark)), mark.start, mark.end, Spanned.SPAN_EXCLUSIVE_EXCLUSIVE)
    }
}

internal fun Resources.words(report: BenchmarkReport): String {
    val latency = report.latency
    val figures = getString(
        R.string.measured, report.length, millis(latency.p50), millis(latency.p90), report.runs,
    )
    if (report.doubts.isEmpty()) return "$figures\n${getString(R.string.measured_trusted)}"
    val doubts = report.doubts.joinToString("") { "\n• ${words(it)}" }
    return "$figures\n${getString(R.string.measured_doubted)}$doubts"
}

private fun Resources.words(doubt: Doubt): String = when (doubt) {
    is Doubt.FewRuns -> getString(R.string.doubt_few_runs, doubt.runs)
    is Doubt.ShortTime -> getString(R.string.doubt_short_time, decimal(doubt.seconds))
    is Doubt.WideSpread -> getString(R.string.doubt_wide_spread, decimal(doubt.times))
    is Doubt.Drift -> getString(R.string.doubt_drift, NumberFormat.getPercentInstance().format(doubt.share))
    is Doubt.Throttled -> getString(R.string.doubt_throttled, doubt.status)
    is Doubt.Debuggable -> getString(R.string.doubt_debuggable)
}

/** A score, to three places. */
internal fun decimal(value: Double): String = fixed(value, 3)

/** A difference, to as many places as tolerances have. */
internal fun exact(value: Double): String = fixed(value, 6)

private fun millis(seconds: Double): String = fixed(seconds * 1_000, 1)

private fun fixed(value: Double, digits: Int): String = NumberFormat.getNumberInstance().apply {
    minimumFractionDigits = digits
    maximumFractionDigits = digits
}.format(value)
