"""What is kept of each run on a board, and what a run says against that board's own past."""
