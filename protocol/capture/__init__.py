"""A conversation on file: recordings in pcapng, written and read. The files themselves are handed in [README.md]."""
