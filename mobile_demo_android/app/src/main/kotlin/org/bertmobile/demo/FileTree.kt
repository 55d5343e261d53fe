package org.bertmobile.demo

import java.io.IOException
import java.io.InputStream

/** Files of a bundle that are not among the app's own yet: in its assets, or in a folder that the user chose. */
fun interface FileTree {
    /**
     * Open a file.
     *
     * @param path relative, with `/` between names.
     * @throws IOException there is no such file, or it cannot be read.
     * @throws SecurityException the user took the permission back.
     */
    @Throws(IOException::class)
    fun open(path: String): InputStream
}
