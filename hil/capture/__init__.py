"""Sessions on file: recordings read as messages [protocol/capture/README.md]."""
