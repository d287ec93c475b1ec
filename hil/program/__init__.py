"""`pumpbench program`: the programmer on the command line."""
