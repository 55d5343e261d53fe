// Both plugins on one class path: AGP compiles Kotlin by itself, with the newest Kotlin plugin that it finds there.
plugins {
    alias(libs.plugins.android.application) apply false
    alias(libs.plugins.android.library) apply false
    alias(libs.plugins.kotlin.jvm) apply false
}
