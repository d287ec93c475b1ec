"""Alarms: the table of what each is, and which of them are active, latched and silenced."""
