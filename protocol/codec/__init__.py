"""A declared layout, the code derived from it, and why bytes do not fit it."""
