package org.bertmobile.demo

import java.io.IOException
import org.bertmobile.core.BertMobileException

/** What went wrong. The activity puts it into words, in the phone's language where it is the app's own. */
sealed interface Problem {
    /** In the words of `:core` or of an engine, which name the cause and the remedy. */
    data class Said(val message: String) : Problem

    /** The phone gives this app less memory than the bundle needs. */
    data object NoMemory : Problem

    /** The phone has [free] bytes for a bundle of [needed] bytes. */
    data class NoRoom(val needed: Long, val free: Long) : Problem

    /** The folder or a file in it cannot be read or written; [detail] is the system's own word for it. */
    data class Unreadable(val detail: String) : Problem

    /** The text has [length] characters, more than [longest]. */
    data class TooLong(val length: Int, val longest: Int) : Problem

    /** The engine's native library is not for this phone. */
    data object NoEngine : Problem

    /** The app ended while it opened [bundle], most likely because the phone had no memory for it. */
    data class EndedWhileOpening(val bundle: String) : Problem

    /** The app was left while it measured, so that the phone gave it less of its time. */
    data object LeftWhileMeasuring : Problem

    /** A mistake in the app: nothing that the user did. */
    data class Unexpected(val detail: String) : Problem
}

/** Carries a [problem] up to whoever shows it. */
class ProblemException(val problem: Problem) : Exception(problem.toString())

/** What a failure means for the user. Errors of the virtual machine count as well: the app lives on without the job. */
fun problemOf(failure: Throwable): Problem = when (failure) {
    is ProblemException -> failure.problem
    is BertMobileException -> Problem.Said(failure.message ?: failure.javaClass.simpleName)
    is OutOfMemoryError -> Problem.NoMemory
    is LinkageError -> Problem.NoEngine
    is IOException, is SecurityException -> Problem.Unreadable(failure.message ?: failure.javaClass.simpleName)
    else -> Problem.Unexpected("${failure.javaClass.simpleName}: ${failure.message}")
}
