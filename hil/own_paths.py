"""Paths that a person has named, and the directory of what is kept for a person: whole, or refused in one sentence."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs

from hil.errors import BadConfiguration

if TYPE_CHECKING:
    from collections.abc import Callable

SHOWN_CHARACTERS: Final = 40


def path_of(named: str | Path, option: str) -> Path:
    """A path as it was named, with `~` and `~user` in it; BadConfiguration names the option where it is none."""
    try:
        path = Path(named).expanduser()
        os.fsencode(path)
    except (RuntimeError, UnicodeEncodeError):
        path = None
    if not str(named) or path is None or "\0" in str(path):
        raise BadConfiguration(
            f"{str(named)!r} is no path: no such home directory, or a character that no file name has",
            advice=f"check {option}",
        )
    if _is_too_long(path):
        raise BadConfiguration(
            f"{str(named)[:SHOWN_CHARACTERS]!r}... is no path: longer than a file name may be",
            advice=f"check {option}",
        )
    if not path.is_absolute():
        check_working_directory()
    return path


def _is_too_long(path: Path) -> bool:
    try:
        path.lstat()
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    return False


def check_working_directory() -> None:
    """BadConfiguration where the directory that this was started in is gone: nothing can be found from there."""
    try:
        Path.cwd()
    except OSError as error:
        raise BadConfiguration(
            "the directory that this was started in is gone", advice="change to one that is there"
        ) from error


def state_directory() -> Path:
    """Where what is kept for this person belongs: $XDG_STATE_HOME/pumpbench, or the system's own place for it."""
    return _of_person(
        platformdirs.user_state_path, "state file", "set HOME or XDG_STATE_HOME, or name a file with --state"
    )


def data_directory() -> Path:
    """Where what this person has gathered belongs: $XDG_DATA_HOME/pumpbench, or the system's own place for it."""
    return _of_person(platformdirs.user_data_path, "history", "set HOME or XDG_DATA_HOME")


def _of_person(place: Callable[..., Path], what: str, advice: str) -> Path:
    try:
        path = place("pumpbench", appauthor=False)
    except RuntimeError:
        path = Path()
    if not path.is_absolute():  # older ones leave a `~` that they cannot resolve as it is
        raise BadConfiguration(f"there is no home directory to keep the {what} in", advice=advice)
    return path
