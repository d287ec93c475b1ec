"""Instruments of a lab: what stands around a real board and gives it the parts of a rig."""
