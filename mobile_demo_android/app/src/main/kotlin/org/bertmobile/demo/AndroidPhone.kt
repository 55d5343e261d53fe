package org.bertmobile.demo

import android.content.Context
import android.content.pm.ApplicationInfo
import android.os.Build
import android.os.PowerManager

/** The phone that the app runs on. */
class AndroidPhone(context: Context) : Phone {
    private val power = context.getSystemService(PowerManager::class.java)

    override val debuggable: Boolean = context.applicationInfo.flags and ApplicationInfo.FLAG_DEBUGGABLE != 0

    override fun thermalStatus(): Int? =
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) power.currentThermalStatus else null
}
