"""Measures bundles: size, speed, memory."""
