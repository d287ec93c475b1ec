"""One run of tests under pytest: its record (`recorder`), and how it may be ended (`endings`)."""
