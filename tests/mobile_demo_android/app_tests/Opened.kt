package org.bertmobile.demo

import java.io.File
import org.bertmobile.core.Bundle
import org.bertmobile.engine.engine

/** Opens each of the bundles as the app does, with the engines of a JVM, and says how many golden inputs pass. */
object Opened {
    @JvmStatic
    fun main(arguments: Array<String>) {
        val cache = File(arguments.first())
        for (folder in arguments.drop(1)) {
            OpenBundle.open(Bundle.open(File(folder)), { bundle, threads -> engine(bundle, cache, threads) }, 1).use {
                val report = it.check()
                println("${it.facts.engine} ${it.facts.task} ${report.cases} ${report.failures}")
            }
        }
    }
}
