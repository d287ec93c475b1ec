"""The entries of the log: their layout, their types and what their data mean [SPEC 8]."""
