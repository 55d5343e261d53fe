package org.bertmobile.engine

import java.io.File
import org.bertmobile.core.BertMobileException
import org.bertmobile.core.Bundle

private fun maps() = File("/proc/self/maps").readLines()

/**
 * Opens bundles one after the other, and says of each what became of it; the last line is the most memory, in KiB of
 * addresses, that the process ever had.
 */
fun main(arguments: Array<String>) {
    for (folder in arguments) {
        val said = try {
            engine(Bundle.open(File(folder)), File("$folder.cache")).use { "opened" }
        } catch (failure: BertMobileException) {
            "${failure.javaClass.simpleName}: ${failure.message}"
        }
        println(said)
        check(maps().none { folder in it }) { "$folder is still in memory" }
    }
    println(File("/proc/self/status").readLines().first { it.startsWith("VmPeak") }.filter { it in '0'..'9' })
}
