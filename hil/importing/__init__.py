"""Captures of other tools, as pieces of a recording of ours."""
