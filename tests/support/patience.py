"""How long a test waits for what must come: no claim about speed, only an end where something hangs."""

from typing import Final

PATIENCE_S: Final = 250.0
"""More than a machine needs that is busy with other things; less than the limit of a test, which tells less."""
