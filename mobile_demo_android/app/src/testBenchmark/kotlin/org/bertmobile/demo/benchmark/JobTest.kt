package org.bertmobile.demo.benchmark

import java.io.File
import org.bertmobile.core.UsageException
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class JobTest {
    private val whole = """
        {"schema_version": 1, "threads": 2, "workload": "32", "runs": 3, "seconds": 0.5, "turn_seconds": 1,
         "warm_up_runs": 0, "results": "/r", "bundles": [{"name": "n", "path": "/p", "inputs": "/i", "golden": "/g"}]}
    """

    @Test
    fun `a job is read`() {
        val bundle = JobBundle("n", File("/p"), File("/i"), File("/g"))
        assertEquals(Job(2, 3, 0.5, 1.0, 0, File("/r"), listOf(bundle)), Job.parse(whole))
    }

    @Test
    fun `a job of another version is refused`() = refused("\"schema_version\": 1", "\"schema_version\": 2", "version 2")

    @Test
    fun `what is missing or wrong is named`() {
        refused("\"threads\": 2", "\"threads\": 0", "threads is missing or wrong")
        refused("\"runs\": 3", "\"runs\": 3.5", "runs is missing or wrong")
        refused("\"runs\": 3", "\"runs\": 4294967297", "runs is missing or wrong")
        refused("\"seconds\": 0.5", "\"seconds\": -1", "seconds is missing or wrong")
        refused("\"results\": \"/r\",", "", "results is missing or wrong")
        refused("\"golden\": \"/g\"", "\"golden\": null", "golden is missing or wrong")
        refused("[{\"name\"", "[0, {\"name\"", "the whole of it is missing or wrong")
        refused("{\"schema_version\"", "{\"a\" \"schema_version\"", "is not valid JSON")
    }

    private fun refused(old: String, new: String, message: String) {
        assertTrue(old in whole)
        val failure = assertThrows(UsageException::class.java) { Job.parse(whole.replace(old, new)) }
        assertTrue(message in failure.message!!, failure.message)
    }
}
