"""The version, as a constant: asking the installed package for it costs a fifth of an emulator's start-up."""

VERSION = "0.1.0"
