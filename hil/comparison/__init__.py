"""Two recordings beside each other: which message is which, and where they are not the same [README.md]."""
