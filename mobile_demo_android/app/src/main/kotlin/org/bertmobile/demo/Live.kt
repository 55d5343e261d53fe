package org.bertmobile.demo

import java.util.concurrent.Executor
import java.util.concurrent.Future
import java.util.concurrent.ScheduledExecutorService
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger

/**
 * Answers the newest question only, and not before its asker has paused.
 *
 * @param worker answers, one question at a time.
 * @param main shows the answers; [ask] and [forget] are called there.
 * @param answer gives null for a question that needs no answer.
 */
class Live<Q, A>(
    private val worker: ScheduledExecutorService,
    private val main: Executor,
    private val pauseMillis: Long,
    private val answer: (Q) -> A,
    private val show: (Result<A>) -> Unit,
) {
    private val newest = AtomicInteger()
    private var waiting: Future<*>? = null

    /** Answer this, and nothing that was asked before. */
    fun ask(question: Q) {
        val number = forget()
        waiting = worker.schedule({ if (number == newest.get()) answerNow(question, number) }, pauseMillis, MILLIS)
    }

    /** Show no answer to what was asked. */
    fun forget(): Int {
        waiting?.cancel(false)
        return newest.incrementAndGet()
    }

    private fun answerNow(question: Q, number: Int) {
        // A model that is too large fails with an error, which is shown like everything else.
        val answered = runCatching { answer(question) }
        main.execute { if (number == newest.get()) show(answered) }
    }

    private companion object {
        val MILLIS = TimeUnit.MILLISECONDS
    }
}
