package org.bertmobile.demo.benchmark

import kotlin.math.roundToInt
import org.bertmobile.core.summarise

/** A model whose runs are timed; [run] runs it once, with the next of its inputs. */
class Contender(private val clock: () -> Long, private val run: () -> Unit) {
    /** Seconds of each run, by turn. */
    val rounds = ArrayList<DoubleArray>()

    private var timed = 0
    private var spent = 0.0

    /** Whether there were so many runs, and so many seconds of them. */
    fun hasHad(runs: Int, seconds: Double): Boolean = timed >= runs && spent >= seconds

    /** How many runs fit a turn, as far as the last turn tells. */
    fun fitting(turnSeconds: Double): Int {
        val last = rounds.lastOrNull() ?: return 1
        return (turnSeconds / summarise(last).p50).coerceIn(1.0, MOST).roundToInt()
    }

    /** Run without timing. */
    fun warmUp(runs: Int) = repeat(runs) { run() }

    /** Run and time; the clock counts nanoseconds. */
    fun takeTurn(runs: Int) {
        val seconds = DoubleArray(runs) {
            val before = clock()
            run()
            // A clock may be too coarse for a model that does next to nothing.
            maxOf(clock() - before, 1L) / NANOSECONDS
        }
        rounds.add(seconds)
        timed += runs
        spent += seconds.sum()
    }

    private companion object {
        const val NANOSECONDS = 1e9
        const val MOST = 1e6
    }
}

/**
 * Give turns, one after the other, until each has had enough, so that a drift of the phone meets all alike.
 *
 * All run equally often in a round, so that all are at the same texts.
 */
fun takeTurns(contenders: List<Contender>, job: Job) {
    for (contender in contenders) contender.warmUp(job.warmUpRuns)
    do {
        val runs = contenders.minOf { it.fitting(job.turnSeconds) }
        for (contender in contenders) contender.takeTurn(runs)
    } while (!contenders.all { it.hasHad(job.runs, job.seconds) })
}
