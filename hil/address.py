"""The address of a device: a scheme, a colon and a place, or a path. Parsing and the order of precedence only."""

from __future__ import annotations

from dataclasses import dataclass

from hil.errors import BadConfiguration
from hil.targets.schemes import SCHEMES, Scheme, scheme_named

ENVIRONMENT_NAME = "PUMPBENCH_TARGET"
DEFAULT_ADDRESS = "emulator"
FORMS = ", ".join(scheme.form for scheme in SCHEMES.values())
PATH = "path"  # the scheme of an address that has none


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address; `text` is what the person wrote, `place` what stands behind the scheme's colon."""

    text: str
    scheme: Scheme
    place: str

    def __str__(self) -> str:
        return self.text


def parse(text: str) -> Address:
    """The address that `text` names, else BadConfiguration with the forms that exist."""
    name, _, place = text.partition(":")
    if text.startswith(("/", "./", "../", "~")):
        name, place = PATH, text
    scheme = None if name == PATH and place != text else scheme_named(name)
    if scheme is None:
        raise BadConfiguration(f"no such target address: {text!r}", advice=f"write one of {FORMS}")
    scheme.check(text, place)
    return Address(text, scheme, place)


def choose(command_line: str | None, environment: str | None, ini: str | None) -> Address:
    """The address by precedence: command line, environment, ini, default. Empty counts as absent."""
    return parse(command_line or environment or ini or DEFAULT_ADDRESS)
