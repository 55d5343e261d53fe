"""Answers of the Python runtime that the runtimes in other languages are held to; see README.md."""
