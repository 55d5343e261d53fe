"""The commands ``bertmobile-export`` and ``bertmobile-parity``."""
