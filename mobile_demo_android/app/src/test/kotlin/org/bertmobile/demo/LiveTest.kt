package org.bertmobile.demo

import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.CountDownLatch
import java.util.concurrent.ScheduledThreadPoolExecutor
import java.util.concurrent.TimeUnit
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class LiveTest {
    private val worker = ScheduledThreadPoolExecutor(1).apply { removeOnCancelPolicy = true }
    private val main = ConcurrentLinkedQueue<Runnable>()
    private val asked = ConcurrentLinkedQueue<String>()
    private val shown = ArrayList<Result<String>>()

    @AfterEach
    fun end() {
        worker.shutdownNow()
    }

    @Test
    fun `of what is asked while the worker is busy only the newest is answered`() {
        val live = live(pauseMillis = 0)
        val free = CountDownLatch(1)
        worker.execute(free::await)
        listOf("a", "ab", "abc").forEach(live::ask)
        free.countDown()
        settle()
        assertEquals(listOf("abc"), asked.toList())
        assertEquals(listOf("ABC"), shown.map { it.getOrThrow() })
    }

    @Test
    fun `nothing is answered before the pause`() {
        val live = live(pauseMillis = 60_000)
        listOf("a", "ab", "abc").forEach(live::ask)
        assertEquals(1, worker.queue.size)
        assertTrue(asked.isEmpty())
    }

    @Test
    fun `an answer that something newer has overtaken is not shown`() {
        val live = live(pauseMillis = 0)
        live.ask("old")
        waitForWorker()
        live.ask("new")
        settle()
        assertEquals(listOf("old", "new"), asked.toList())
        assertEquals(listOf("NEW"), shown.map { it.getOrThrow() })
    }

    @Test
    fun `what is forgotten is not shown`() {
        val live = live(pauseMillis = 0)
        live.ask("a")
        waitForWorker()
        live.forget()
        settle()
        assertTrue(shown.isEmpty())
    }

    @Test
    fun `no memory for an answer is an answer, and the next is found`() {
        val live = live(pauseMillis = 0) { if (it == "large") throw OutOfMemoryError("heap") else it }
        live.ask("large")
        settle()
        live.ask("small")
        settle()
        assertTrue(shown[0].exceptionOrNull() is OutOfMemoryError)
        assertEquals("small", shown[1].getOrThrow())
    }

    private fun live(pauseMillis: Long, answer: (String) -> String = { it.uppercase() }) = Live<String, String>(
        worker,
        main::add,
        pauseMillis,
        { question -> answer(question).also { asked.add(question) } },
        shown::add,
    )

    private fun waitForWorker() {
        // Queued behind all that is due.
        worker.schedule({}, 1, TimeUnit.MILLISECONDS).get(10, TimeUnit.SECONDS)
    }

    private fun settle() {
        waitForWorker()
        while (true) (main.poll() ?: return).run()
    }
}
