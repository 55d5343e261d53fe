package org.bertmobile.demo

import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.Intent
import android.os.Build
import android.os.Bundle
import android.os.Handler
import android.os.Looper
import android.view.ViewGroup
import android.widget.Toast
import java.io.File
import java.util.concurrent.ScheduledThreadPoolExecutor
import org.bertmobile.core.Verified
import org.bertmobile.core.usualThreads
import org.bertmobile.demo.ui.BackGesture
import org.bertmobile.demo.ui.Pages
import org.bertmobile.demo.ui.padForBars

/** Shows what [Demo] decides, and tells it what the user does. */
class DemoActivity : Activity() {
    private lateinit var demo: Demo
    private val backGesture: BackGesture? =
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.TIRAMISU) BackGesture(this, ::goBack) else null

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_demo)
        val root = findViewById<ViewGroup>(R.id.root)
        root.padForBars()
        // The demo, with its loaded model, outlives a rotation.
        val kept = lastNonConfigurationInstance as Demo?
        demo = kept ?: newDemo().apply { start(savedInstanceState?.let(::savedOf)) }
        val pages = Pages(root, demo, ::chooseFolder)
        demo.observer = { screen ->
            pages.show(screen)
            backGesture?.enabled = screen !is Screen.Choosing
        }
    }

    override fun onSaveInstanceState(outState: Bundle) {
        super.onSaveInstanceState(outState)
        demo.saved?.let {
            outState.putString(BUNDLE, it.bundle)
            outState.putStringArray(TEXTS, it.texts.toTypedArray())
        }
    }

    override fun onRetainNonConfigurationInstance(): Any = demo

    override fun onStop() {
        super.onStop()
        if (!isChangingConfigurations) demo.hide()
    }

    override fun onDestroy() {
        super.onDestroy()
        if (isChangingConfigurations) demo.observer = null else demo.close()
    }

    /** Before Android 13; later ones call [backGesture]. */
    @Deprecated("Deprecated in Java")
    @Suppress("DEPRECATION")
    override fun onBackPressed() {
        if (!demo.back()) super.onBackPressed()
    }

    override fun onActivityResult(requestCode: Int, resultCode: Int, data: Intent?) {
        val folder = data?.data
        if (requestCode == FOLDER && resultCode == RESULT_OK && folder != null) {
            // The worker may outlive this activity.
            demo.open(DocumentTree(applicationContext.contentResolver, folder))
        }
    }

    private fun goBack() {
        demo.back()
    }

    private fun chooseFolder() {
        try {
            startActivityForResult(Intent(Intent.ACTION_OPEN_DOCUMENT_TREE), FOLDER)
        } catch (_: ActivityNotFoundException) {
            Toast.makeText(this, R.string.choose_folder_missing, Toast.LENGTH_LONG).show()
        }
    }

    private fun newDemo(): Demo {
        val application = applicationContext
        val handler = Handler(Looper.getMainLooper())
        return Demo(
            shelf = lazy {
                BundleShelf(
                    File(application.filesDir, "bundles"),
                    packagedBundles(application.assets),
                    Verified(File(application.filesDir, "verified")),
                )
            },
            engines = { bundle, threads -> Engines(application.cacheDir).open(bundle, threads) },
            threads = usualThreads(),
            phone = AndroidPhone(application),
            worker = WORKER,
            main = { handler.post(it) },
            mark = lazy { OpeningMark(File(application.filesDir, "opening")) },
        )
    }

    private fun savedOf(state: Bundle): Saved? {
        val bundle = state.getString(BUNDLE) ?: return null
        return Saved(bundle, state.getStringArray(TEXTS).orEmpty().toList())
    }

    private companion object {
        const val BUNDLE = "bundle"
        const val TEXTS = "texts"
        const val FOLDER = 1

        /** Of the process, not of an activity: the next one may begin before the work of the last has ended. */
        val WORKER = ScheduledThreadPoolExecutor(1).apply { removeOnCancelPolicy = true }
    }
}
