package org.bertmobile.demo.benchmark

import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class TurnsTest {
    private var now = 0L
    private val order = StringBuilder()

    @Test
    fun `turns go round until each has had enough runs and seconds`() {
        val (fast, slow) = contender('f', millis = 10) to contender('s', millis = 50)
        takeTurns(listOf(fast, slow), job(runs = 5, seconds = 2.0, turnSeconds = 0.5))
        for (each in listOf(fast, slow)) assertTrue(each.hasHad(5, 2.0))
        assertEquals(fast.rounds.map { it.size }, slow.rounds.map { it.size })
        assertEquals(2.0, fast.rounds.sumOf { it.sum() }, 0.1)
        // In a round of 0.5 seconds the slower one has room for ten runs.
        assertEquals(10, fast.rounds[1].size)
    }

    @Test
    fun `runs before the first turn are not timed`() {
        val only = contender('a', millis = 10)
        takeTurns(listOf(only), job(runs = 4, warmUpRuns = 3, turnSeconds = 0.001))
        assertEquals("aaaaaaa", order.toString())
        assertEquals(List(4) { 1 }, only.rounds.map { it.size })
        assertEquals(0.01, only.rounds[0].single(), 1e-12)
    }

    @Test
    fun `one that has had enough goes on as long as another has not`() {
        val (one, other) = contender('a', millis = 1_000) to contender('b', millis = 1)
        takeTurns(listOf(one, other), job(runs = 1, seconds = 0.003, turnSeconds = 0.001))
        assertEquals("ababab", order.toString())
    }

    @Test
    fun `a run that the clock does not see took some time`() {
        val only = contender('a', millis = 0)
        takeTurns(listOf(only), job(runs = 3))
        assertTrue(only.rounds.all { round -> round.all { it > 0 } })
    }

    private fun contender(name: Char, millis: Long) = Contender({ now }) {
        order.append(name)
        now += millis * 1_000_000
    }

    private fun job(runs: Int, seconds: Double = 0.0, turnSeconds: Double = 0.5, warmUpRuns: Int = 0) =
        Job(1, runs, seconds, turnSeconds, warmUpRuns, File("results"), emptyList())
}
