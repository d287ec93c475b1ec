"""Layouts of messages, the code derived from them, and the diagnosis of bytes that do not fit."""
