package org.bertmobile.demo.ui

import android.annotation.TargetApi
import android.app.Activity
import android.os.Build
import android.view.View
import android.view.WindowInsets
import android.window.OnBackInvokedCallback
import android.window.OnBackInvokedDispatcher

/** Keep clear of the system's bars, the camera and the keyboard: from Android 15 on a window lies below them. */
fun View.padForBars() = setOnApplyWindowInsetsListener { view, insets ->
    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.R) {
        val kinds = WindowInsets.Type.systemBars() or WindowInsets.Type.displayCutout() or WindowInsets.Type.ime()
        insets.getInsets(kinds).run { view.setPadding(left, top, right, bottom) }
    } else {
        @Suppress("DEPRECATION")
        insets.run {
            view.setPadding(
                systemWindowInsetLeft,
                systemWindowInsetTop,
                systemWindowInsetRight,
                systemWindowInsetBottom,
            )
        }
    }
    insets
}

/**
 * The back gesture of Android 13 and newer, taken from the system while [enabled], so that it can show the user where
 * the gesture leads while it is not.
 */
@TargetApi(Build.VERSION_CODES.TIRAMISU)
class BackGesture(private val activity: Activity, goBack: () -> Unit) {
    private val callback = OnBackInvokedCallback { goBack() }

    var enabled = false
        set(value) {
            if (value == field) return
            field = value
            val dispatcher = activity.onBackInvokedDispatcher
            if (value) {
                dispatcher.registerOnBackInvokedCallback(OnBackInvokedDispatcher.PRIORITY_DEFAULT, callback)
            } else {
                dispatcher.unregisterOnBackInvokedCallback(callback)
            }
        }
}
