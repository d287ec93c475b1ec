"""Files that a command writes: new, for nobody else's eyes, and nothing that was there is replaced."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, Final

from hil.errors import BadConfiguration

if TYPE_CHECKING:
    from pathlib import Path

ONLY_MINE: Final = 0o600


def check_new(out: Path) -> None:
    """BadConfiguration where something is there already."""
    if os.path.lexists(out):
        raise BadConfiguration(f"{out} is there already, and would be replaced", advice="name another file")


def new_file(out: Path) -> BinaryIO:
    """The file, opened for writing; OSError where it cannot be made."""
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, ONLY_MINE)
    return os.fdopen(descriptor, "wb")


def unwritable(out: Path, error: OSError) -> BadConfiguration:
    """The error of a file that cannot be written."""
    return BadConfiguration(
        f"{out} cannot be written ({error.strerror})", advice="name a place where you may write"
    )
