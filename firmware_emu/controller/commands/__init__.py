"""What the pump does with each command: one function a command, by family. `table` is where to look first."""
