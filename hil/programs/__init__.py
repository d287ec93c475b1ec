"""Infusion programs as values: files, checks before they are sent, and old and new side by side."""
