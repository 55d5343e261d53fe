"""Tests of the Android demo's Kotlin, with npm's compiler and Debian's JUnit: no Gradle, no Android SDK."""
