"""What the pump remembers over a loss of power: records, ledger and log, and the atomic commits that write them."""
