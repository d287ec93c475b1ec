"""`pumpbench hil`: the suite against a target, from the command line."""
