"""Where pytest may write beside our report: in no place of ours, and only where it can; found out before any test."""

from __future__ import annotations

import os
import re

from hil.errors import BadConfiguration
from hil.report.records import JSON_NAME, JUNIT_NAME, RECORDING_PATTERN, SUMMARY_NAME

DEFAULT_REPORT = "hil-report"
"""Where a report goes that nobody has named a place for."""


def check_place(option: str, path: str | None, report: str | None) -> None:
    """Try to write the file that an option of pytest names; nothing without one.

    BadConfiguration where it is a file of the report, and one would replace the other, or cannot be written: pytest
    would find out when the tests have run.
    """
    if not path:
        return
    if report and _is_ours(option, path, report):
        raise BadConfiguration(
            f"{option} names a file of the report, {path}", advice="name another file, or leave it out"
        )
    place = _as_pytest_finds(option, path)
    was_there = os.path.lexists(place)
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)  # noqa: PTH103, PTH120
        with open(place, "ab"):  # noqa: PTH123
            pass
        if not was_there:
            os.unlink(place)  # noqa: PTH108
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadConfiguration(
            f"{option} cannot be written to {path} ({why})", advice="make room, or name another file"
        ) from error


def _as_pytest_finds(option: str, path: str) -> str:
    """Where pytest will write: of its own report it reads `~` and variables in the name, of other files neither."""
    if option == "--junitxml":
        path = os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111 - as pytest does it
    return os.path.abspath(path)  # noqa: PTH100


def _is_ours(option: str, path: str, report: str) -> bool:
    place, directory = os.path.realpath(_as_pytest_finds(option, path)), os.path.realpath(report)
    ours = {SUMMARY_NAME, JSON_NAME} if option == "--junitxml" else {SUMMARY_NAME, JSON_NAME, JUNIT_NAME}
    names = {name + more for name in ours for more in ("", ".new")}
    name = os.path.basename(place)  # noqa: PTH119
    is_ours = name in names or re.fullmatch(RECORDING_PATTERN, name) is not None
    return is_ours and os.path.dirname(place) == directory  # noqa: PTH120
