package org.bertmobile.demo

import java.io.File

/**
 * A file that is there while a bundle is opened: Android ends an app that takes too much memory without a word, and
 * an app that opened the same bundle again at each start could not be used any more.
 */
class OpeningMark(private val file: File) {
    /** Remember [bundle] until [action] is done, however it ends, unless the process does. */
    fun <T> opening(bundle: String, action: () -> T): T {
        file.writeText(bundle)
        try {
            return action()
        } finally {
            file.delete()
        }
    }

    /** The bundle over which the last process ended, told once. */
    fun take(): String? {
        if (!file.isFile) return null
        return file.readText().also { file.delete() }
    }
}
