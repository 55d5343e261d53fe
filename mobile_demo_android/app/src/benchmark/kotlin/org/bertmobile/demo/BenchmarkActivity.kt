package org.bertmobile.demo

import android.app.Activity
import android.os.Bundle
import android.util.Log
import android.view.WindowManager
import android.widget.TextView
import java.io.File
import kotlin.concurrent.thread
import org.bertmobile.demo.benchmark.AndroidProbes
import org.bertmobile.demo.benchmark.JobRunner
import org.bertmobile.demo.benchmark.doJob
import org.bertmobile.demo.ui.padForBars

/** Measures what the string extra `job`, a file's path, asks for: docs/device-protocol.md. */
class BenchmarkActivity : Activity() {
    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        val job = intent.getStringExtra(JOB)
        val words = getString(if (job == null) R.string.benchmark_no_job else R.string.benchmark_running)
        setContentView(TextView(this).apply { text = words }.also { it.padForBars() })
        if (job == null) Log.e(LOG_TAG, words)
        // An activity that Android makes anew, as it does when the phone is turned, must not measure a second time.
        if (savedInstanceState != null || job == null) return
        val application = applicationContext
        val appFiles = application.getExternalFilesDir(null) ?: application.filesDir
        val runner = JobRunner(Engines(application.cacheDir), AndroidProbes(application))
        thread(name = "benchmark") { doJob(File(job), appFiles, runner) { Log.i(LOG_TAG, it) } }
    }

    private companion object {
        const val JOB = "job"
        const val LOG_TAG = "bertmobile"
    }
}
