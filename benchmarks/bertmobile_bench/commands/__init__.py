"""The subcommands of ``bertmobile-bench``, a module with a ``command`` for each."""
