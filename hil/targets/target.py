"""What every target offers: a channel to one device, what its bench can do, and a rig where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from hil.capabilities import TargetCapability
    from hil.channel import Channel
    from hil.rig import Rig
    from hil.targets.choices import PumpChoice


class Target(Protocol):
    """One device on one bench. Its life is start, any number of channels one after another, close."""

    @property
    def address(self) -> str:
        """The address as the person wrote it."""
        ...

    @property
    def capabilities(self) -> frozenset[TargetCapability]: ...

    @property
    def rig(self) -> Rig:
        """The rig around the device; UsageError where there is none."""
        ...

    def launch(self) -> None:
        """Begin to make the device ready, where that takes time; `start` waits for it."""
        ...

    def start(self) -> None:
        """Make the device ready; whatever is wrong with the bench is said here."""
        ...

    def open_channel(self) -> Channel:
        """The line to the device. One at a time: the previous one has to be closed."""
        ...

    def dismiss(self) -> None:
        """Begin to close, where that takes time; `close` waits for it."""
        ...

    def close(self) -> None:
        """Leave nothing behind. Closing twice is fine."""
        ...


@runtime_checkable
class Renewable(Protocol):
    """A target that stays, and whose device may be put into a first state where `reset` is among its capabilities."""

    @property
    def renews_as_told(self) -> bool:
        """Whether that first state may be any profile, or is always the same."""
        ...

    def renew(self, choice: PumpChoice) -> None:
        """Put the device into its first state, as a pump of that choice where it can; its line is closed for that."""
        ...
