"""How far a long recording has been read, on a terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from hil.cli.output import on_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LONG_MIB: Final = 8
"""From here on reading takes long enough for people to wonder."""


@contextmanager
def shown_reading(path: Path) -> Iterator[Callable[[int], None] | None]:
    """Shows on stderr how many MiB of a file were read; who reads tells how many bytes. None: nobody would see it."""
    try:
        size_mib = path.stat().st_size >> 20
    except OSError:
        size_mib = 0  # its reader says why
    if size_mib < LONG_MIB or not on_terminal(sys.stderr):
        yield None
        return
    from hil.cli.terminal import progress_bar  # noqa: PLC0415 - a pipe needs no drawing

    with progress_bar(f"reading {path.name}, MiB") as show:
        yield lambda read_bytes: show(read_bytes >> 20, size_mib)
