"""Recorded sessions played again, message by message: as the device, or as the programmer [README.md]."""
