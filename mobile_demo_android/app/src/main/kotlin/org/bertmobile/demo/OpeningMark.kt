package org.bertmobile.demo

import java.io.File
import java.io.IOException

/**
 * A file that is there while a bundle is opened: Android ends an app that takes too much memory without a word, and
 * an app that opened the same bundle again at each start could not be used any more.
 */
class OpeningMark(private val file: File) {
    /** Remember [bundle] until [action] is done, however it ends, unless the process does. */
    fun <T> opening(bundle: String, action: () -> T): T {
        try {
            file.writeText(bundle)
        } catch (_: IOException) {
            // A bundle is opened also where there is no room for a mark.
        }
        try {
            return action()
        } finally {
            file.delete()
        }
    }

    /** The bundle over which the last process ended, told once. */
    fun take(): String? {
        val bundle = try {
            file.readText()
        } catch (_: IOException) {
            return null
        }
        file.delete()
        return bundle.ifEmpty { null }
    }
}
