"""What the values of our options of pytest may be. No pytest here, and nothing that takes time to import."""

from __future__ import annotations

import argparse

from hil.report.records import RETRIES_MAX


def whole_number_option(text: str) -> int:
    """The number that digits name; argparse's error says what to write."""
    from hil.targets.choices import whole_number  # noqa: PLC0415 - nothing of it unless it is wanted

    try:
        return whole_number(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def retries_option(text: str) -> int:
    """A number of retries; argparse's error says how many there may be."""
    number = whole_number_option(text)
    if not 0 <= number <= RETRIES_MAX:
        raise argparse.ArgumentTypeError(
            f"a number of retries from 0 to {RETRIES_MAX} is expected, not {text}"
        )
    return number
