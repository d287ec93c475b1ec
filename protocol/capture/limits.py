"""How large a file of a recording may be."""

from __future__ import annotations

from typing import Final

SIZE_LIMIT_BYTES: Final = 256 * 1024 * 1024
"""Where nobody says another: there the next file begins."""
SIZE_LIMIT_LEAST_BYTES: Final = 64 * 1024
SIZE_LIMIT_MOST_BYTES: Final = 1 << 40
