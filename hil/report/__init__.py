"""What a run leaves behind: records of its tests, and the text that people read. JUnit XML is pytest's own."""
