"""What was measured, on one page and as Markdown: ``bertmobile-bench report``."""
