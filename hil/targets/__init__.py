"""Everything that an address can name, behind one door: `open_target`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.address import TargetKind
from hil.targets.choices import PumpChoice

if TYPE_CHECKING:
    from hil.address import Address
    from hil.targets.target import Target

__all__ = ["PumpChoice", "make_target"]


def make_target(address: Address, choice: PumpChoice | None = None) -> Target:
    """The target of an address, not started yet. Each body is imported only when its kind is asked for."""
    choice = choice or PumpChoice()
    if address.kind is TargetKind.EMULATED:
        from hil.targets.emulated import EmulatedTarget  # noqa: PLC0415

        return EmulatedTarget(choice)
    if address.kind is TargetKind.PROCESS:
        from hil.targets.process import ProcessTarget  # noqa: PLC0415

        return ProcessTarget(choice)
    from hil.targets.port import PortTarget  # noqa: PLC0415

    return PortTarget(address)
