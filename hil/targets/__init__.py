"""Devices that an address can name: `make_target` gives the target of an address."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hil.targets.choices import PumpChoice

if TYPE_CHECKING:
    from hil.address import Address
    from hil.targets.target import Target

__all__ = ["PumpChoice", "make_target"]


def make_target(address: Address, choice: PumpChoice | None = None) -> Target:
    """The target of an address, not started yet."""
    choice = choice or PumpChoice()
    if address.baud is not None:
        choice = replace(choice, baud=address.baud)
    return address.scheme.make(address.text, address.place, choice)
