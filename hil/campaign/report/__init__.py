"""The report of a campaign: what was played, what did not hold, how much harm which fault did; a page and a JSON."""
