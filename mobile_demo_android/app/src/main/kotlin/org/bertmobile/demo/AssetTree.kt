package org.bertmobile.demo

import android.content.res.AssetManager
import java.io.InputStream

/** A folder of the app's assets. */
class AssetTree(private val assets: AssetManager, private val folder: String) : FileTree {
    override fun open(path: String): InputStream = assets.open("$folder/$path", AssetManager.ACCESS_STREAMING)
}

/** The bundles below `assets/bundles`, by name. */
fun packagedBundles(assets: AssetManager): Map<String, FileTree> =
    assets.list(FOLDER).orEmpty().associateWith { AssetTree(assets, "$FOLDER/$it") }

private const val FOLDER = "bundles"
