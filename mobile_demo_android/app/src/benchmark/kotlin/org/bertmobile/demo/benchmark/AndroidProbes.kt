package org.bertmobile.demo.benchmark

import android.content.Context
import android.os.Build
import android.os.Debug
import android.os.Process
import android.os.SystemClock
import java.io.File
import org.bertmobile.demo.AndroidPhone

/** Android's own readings. */
class AndroidProbes(context: Context) : Probes {
    private val phone = AndroidPhone(context)
    private val application = context.applicationInfo

    override fun peakBytes(): Long? = peakBytes(File("/proc/self/status"))

    override fun pssBytes(): Long {
        val info = Debug.MemoryInfo()
        Debug.getMemoryInfo(info)
        return info.totalPss * KIBIBYTE
    }

    override fun thermalStatus(): Int? = phone.thermalStatus()

    override fun engineBytes(engine: String): Long? {
        val packages = listOf(application.sourceDir) + application.splitSourceDirs.orEmpty()
        return libraryBytes(packages.map(::File), Build.SUPPORTED_ABIS.toList(), engine)
    }

    override fun secondsAlive(): Double =
        (SystemClock.elapsedRealtime() - Process.getStartElapsedRealtime()) / MILLISECONDS

    private companion object {
        const val KIBIBYTE = 1024L
        const val MILLISECONDS = 1e3
    }
}
