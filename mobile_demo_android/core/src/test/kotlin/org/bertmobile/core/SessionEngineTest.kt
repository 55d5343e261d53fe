package org.bertmobile.core

import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import kotlin.concurrent.thread
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class SessionEngineTest {
    private val session = Counting()

    @Test
    fun `inputs of a bucket reach the session`() {
        engine().run(inputs(16))
        assertEquals(listOf(16), session.lengths)
    }

    @Test
    fun `any length up to the longest reaches a dynamic model`() {
        val engine = engine(dynamic = true)
        for (length in listOf(1, 5, 16)) engine.run(inputs(length))
        assertEquals(listOf(1, 5, 16), session.lengths)
    }

    @Test
    fun `inputs that the model does not have are refused`() {
        refused("takes the inputs attention_mask, input_ids, token_type_ids, not attention_mask, input_ids;") {
            run(inputs(8) - "token_type_ids")
        }
        refused("not attention_mask, input_ids, mask_positions, token_type_ids;") {
            run(inputs(8) + ("mask_positions" to row(8)))
        }
    }

    @Test
    fun `a length without a bucket is refused`() {
        refused("has no bucket of 9 tokens, only 8, 16") { run(inputs(9)) }
        refused("has no bucket of 17 tokens, only from 1 to 16", dynamic = true) { run(inputs(17)) }
        refused("has no bucket of 0 tokens", dynamic = true) { run(inputs(0)) }
        val number = IntTensor(intArrayOf(), IntArray(1))
        refused("has no bucket of 0 tokens") { run(inputs(8).mapValues { number }) }
    }

    @Test
    fun `inputs of another shape are refused`() {
        refused("attention_mask must be 1 x 8, not 1 x 16") { run(inputs(8) + ("attention_mask" to row(16))) }
        val two = IntTensor(intArrayOf(2, 8), IntArray(16))
        refused("input_ids must be 1 x 8, not 2 x 8", dynamic = true) { run(inputs(8) + ("input_ids" to two)) }
    }

    @Test
    fun `numbers that point outside a table are refused`() {
        val tokens = Vectors.manifest(emptyMap<String, Any>()).tokenizer.vocabSize
        for (id in listOf(-1, tokens)) {
            refused("input_ids has $id, which is not from 0 to ${tokens - 1}") {
                run(inputs(8) + ("input_ids" to row(8, id)))
            }
        }
        refused("token_type_ids has 2") { run(inputs(8) + ("token_type_ids" to row(8, 2))) }
    }

    @Test
    fun `threads take turns`() {
        val engine = engine()
        val threads = List(8) { thread { repeat(50) { engine.run(inputs(8)) } } }
        threads.forEach(Thread::join)
        assertEquals(400, session.lengths.size)
        assertEquals(1, session.mostAtOnce.get())
    }

    @Test
    fun `closing waits for a run, and is done once`() {
        val engine = engine()
        session.hold = CountDownLatch(1)
        val running = thread { engine.run(inputs(8)) }
        assertTrue(session.inside.await(10, TimeUnit.SECONDS))
        val closing = thread { engine.close() }
        closing.join(50)
        assertFalse(session.closedInside)
        assertEquals(0, session.closings)
        session.hold!!.countDown()
        listOf(running, closing).forEach(Thread::join)
        engine.close()
        assertEquals(1, session.closings)
        assertFalse(session.closedInside)
    }

    @Test
    fun `a run after the end is an error in words`() {
        val engine = engine()
        engine.close()
        val failure = assertThrows(UsageException::class.java) { engine.run(inputs(8)) }
        assertTrue("the engine is closed" in failure.message!!, failure.message)
        assertEquals(emptyList<Int>(), session.lengths)
    }

    @Test
    fun `a run without memory leaves the engine usable`() {
        val engine = engine()
        session.failure = OutOfMemoryError("Java heap space")
        val failure = assertThrows(EngineException::class.java) { engine.run(inputs(8)) }
        assertTrue("no memory to run" in failure.message!!, failure.message)
        session.failure = null
        engine.run(inputs(8))
    }

    private fun engine(dynamic: Boolean = false): Engine {
        val batch = if (dynamic) "batch" else 1L
        val inputs = NAMES.map { mapOf("name" to it, "dtype" to "int64", "shape" to listOf(batch, "length")) }
        val manifest = Vectors.manifest(
            mapOf("lengths" to listOf(8L, 16L), "signatures" to mapOf("8" to "s8", "16" to "s16"), "inputs" to inputs),
        )
        return SessionEngine(manifest, EngineFacts("test", null, Accelerator.CPU.spelling, 1), session)
    }

    private fun refused(message: String, dynamic: Boolean = false, action: Engine.() -> Unit) {
        val failure = assertThrows(UsageException::class.java) { engine(dynamic).action() }
        assertTrue(message in failure.message!!, failure.message)
        assertEquals(emptyList<Int>(), session.lengths)
    }

    private fun inputs(length: Int) = NAMES.associateWith { row(length) }

    private fun row(length: Int, value: Int = 0) = IntTensor(intArrayOf(1, length), IntArray(length) { value })

    private class Counting : Session {
        val lengths = ArrayList<Int>()
        val mostAtOnce = AtomicInteger()
        val inside = CountDownLatch(1)
        var hold: CountDownLatch? = null
        var failure: Throwable? = null
        var closings = 0
        var closedInside = false
        private val atOnce = AtomicInteger()

        override fun run(length: Int, inputs: Map<String, IntTensor>): Map<String, FloatTensor> {
            val now = atOnce.incrementAndGet()
            mostAtOnce.accumulateAndGet(now, ::maxOf)
            inside.countDown()
            try {
                hold?.await()
                failure?.let { throw it }
                lengths.add(length)
                return emptyMap()
            } finally {
                atOnce.decrementAndGet()
            }
        }

        override fun close() {
            closings++
            closedInside = closedInside || atOnce.get() > 0
        }
    }

    private companion object {
        val NAMES = listOf("input_ids", "attention_mask", "token_type_ids")
    }
}
