package org.bertmobile.demo

import java.io.File
import org.bertmobile.core.FloatTensor
import org.bertmobile.core.UsageException
import org.bertmobile.demo.benchmark.Sample
import org.bertmobile.demo.benchmark.readInputs
import org.bertmobile.demo.benchmark.writeOutputs

/** For each file that a line of stdin names: read it, write its numbers beside it, and say how that went. */
object Samples {
    @JvmStatic
    fun main(arguments: Array<String>) {
        for (line in generateSequence(::readlnOrNull)) println(again(File(line)))
    }

    private fun again(file: File): String = try {
        val samples = readInputs(file)
        val floats = samples.asSequence().map { sample ->
            val tensors = sample.tensors.mapValues { (_, tensor) ->
                FloatTensor(tensor.shape, FloatArray(tensor.values.size) { tensor.values[it].toFloat() })
            }
            Sample(sample.signature, tensors)
        }
        writeOutputs(File(file.path + ".again"), samples.size, floats)
        "written"
    } catch (refusal: UsageException) {
        "refused: ${refusal.message}"
    }
}
