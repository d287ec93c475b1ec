"""The address of a device: a scheme, a colon and a place, or a path. Parsing and the order of precedence only."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hil.errors import BadConfiguration
from hil.targets.schemes import SCHEMES, Scheme, scheme_named

ENVIRONMENT_NAME = "PUMPBENCH_TARGET"
DEFAULT_ADDRESS = "emulator"
FORMS = ", ".join(scheme.form for scheme in SCHEMES.values())
PATH = "path"  # the scheme of an address that has none
SPEED = "?baud="  # at the end of the address of a line that has a speed
BAUD_DIGITS_MAX = 9
BARE_NAME = "[A-Za-z0-9._-]+"  # without a scheme


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address; `text` is what the person wrote, `place` what stands behind the scheme's colon.

    `baud` is the speed of its line, in bits per second; None where the address does not say.
    """

    text: str
    scheme: Scheme
    place: str
    baud: int | None = None

    def __str__(self) -> str:
        return self.text


def parse(text: str) -> Address:
    """The address that `text` names, else BadConfiguration with the forms that exist."""
    name, _, place = text.partition(":")
    if text.startswith(("/", "./", "../", "~")):
        name, place = PATH, text
    scheme = None if name == PATH and place != text else scheme_named(name)
    if scheme is None:
        named = (
            f"; a board that your bench file calls so is bench:{text}"
            if re.fullmatch(BARE_NAME, text)
            else ""
        )
        raise BadConfiguration(f"no such target address: {text!r}", advice=f"write one of {FORMS}{named}")
    place, speed, digits = place.partition(SPEED)
    baud = _baud(text, scheme, digits) if speed else None
    scheme.check(text, place)
    return Address(text, scheme, place, baud)


def _baud(text: str, scheme: Scheme, digits: str) -> int:
    """The speed at the end of an address; BadConfiguration where it is none, or the line has none."""
    if not scheme.takes_baud:
        raise BadConfiguration(
            f"{scheme.form} has no speed, and {text!r} says one", advice=f"write it without {SPEED}"
        )
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= BAUD_DIGITS_MAX and int(digits)):
        raise BadConfiguration(
            f"the speed of {text!r} is no number of bits per second above 0", advice=f"write {SPEED}115200"
        )
    return int(digits)


def choose(command_line: str | None, environment: str | None, ini: str | None) -> Address:
    """The address by precedence: command line, environment, ini, default. Empty counts as absent."""
    return parse(command_line or environment or ini or DEFAULT_ADDRESS)
