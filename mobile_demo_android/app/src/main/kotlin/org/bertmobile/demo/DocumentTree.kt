package org.bertmobile.demo

import android.content.ContentResolver
import android.net.Uri
import android.provider.DocumentsContract
import android.provider.DocumentsContract.Document
import java.io.FileNotFoundException
import java.io.IOException
import java.io.InputStream

/** A folder that the user chose; [root] is what Android's chooser answered. */
class DocumentTree(private val resolver: ContentResolver, private val root: Uri) : FileTree {
    private val listed = HashMap<String, Map<String, String>>()

    override fun open(path: String): InputStream = try {
        val document = path.split('/').fold(DocumentsContract.getTreeDocumentId(root)) { folder, name ->
            children(folder)[name] ?: throw FileNotFoundException("the folder has no $path")
        }
        resolver.openInputStream(DocumentsContract.buildDocumentUriUsingTree(root, document))
            ?: throw FileNotFoundException("$path cannot be opened")
    } catch (failure: SecurityException) {
        throw failure
    } catch (failure: RuntimeException) {
        // What a provider of documents makes of a folder that is gone is its own affair.
        throw IOException("$path cannot be opened: $failure", failure)
    }

    /** Ids of a folder's documents, by name. */
    private fun children(folder: String): Map<String, String> = listed.getOrPut(folder) {
        val uri = DocumentsContract.buildChildDocumentsUriUsingTree(root, folder)
        val columns = arrayOf(Document.COLUMN_DISPLAY_NAME, Document.COLUMN_DOCUMENT_ID)
        val found = HashMap<String, String>()
        val cursor = resolver.query(uri, columns, null, null, null) ?: throw IOException("the folder cannot be listed")
        cursor.use {
            while (it.moveToNext()) {
                // A provider may leave out what it does not know.
                val name: String? = it.getString(0)
                val id: String? = it.getString(1)
                if (name != null && id != null) found[name] = id
            }
        }
        found
    }
}
