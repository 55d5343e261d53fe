"""Measures bundles on Android and Linux devices over adb: ``bertmobile-bench adb``."""
