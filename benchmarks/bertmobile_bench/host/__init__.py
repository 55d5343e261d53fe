"""Measures bundles on this machine: ``bertmobile-bench host``."""
