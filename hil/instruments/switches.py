"""Instruments that are on or off: a power switch, a magnet on a servo; and a person who holds a rotor.

What a switch is thrown by is a row of its kind: a command of the lab, `uhubctl`, an outlet that speaks HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hil.errors import BenchLost, NotOnThisRig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hil.instruments.declaration import BenchAccess


class Switch:
    """Something that is put on and off. Its first state is what the lab says: on for power, off for a magnet."""

    def __init__(
        self,
        put: Callable[[bool], None],
        *,
        exactness_ms: int,
        settle_ms: int = 0,
        wait_ms: Callable[[int], object] = lambda _ms: None,
        is_on: bool = True,
        check: Callable[[int], str],
    ) -> None:
        """`settle_ms` pass after it was put on: as long as a board takes to boot.

        `check` looks whether it could be thrown, as an instrument's does.
        """
        self.check = check
        self._put = put
        self._settle_ms = settle_ms
        self._wait_ms = wait_ms
        self._first = is_on
        self.is_on = is_on
        self.times_put = 0
        """How often it was moved so far."""
        self.exactness_ms = exactness_ms
        self.exactness = f"{exactness_ms} ms"

    def put(self, *, on: bool) -> None:
        """Put it on or off, also where it is so already: nobody knows what somebody did by hand."""
        self._put(on)
        self.is_on = on
        self.times_put += 1
        if on and self._settle_ms:
            self._wait_ms(self._settle_ms)

    def close(self) -> None:
        """Put it as it was: a board is not left without power, nor under a magnet."""
        if self.is_on != self._first:
            self.put(on=self._first)


ON_AND_OFF: Final = ("off", "on")


def command_switch(settings: Mapping[str, Any], access: BenchAccess, *, is_on: bool) -> Switch:
    """A switch that two commands throw."""

    def what(on: bool) -> str:  # noqa: FBT001 - of Switch
        return f"the command that puts it {ON_AND_OFF[on]}"

    def check(_limit_ms: int) -> str:
        for on in (False, True):
            access.find_program(settings[ON_AND_OFF[on]], what(on))
        return "its commands are there, and were not run"

    return _switch(
        settings,
        access,
        lambda on: access.run_command(settings[ON_AND_OFF[on]], what(on)),
        check,
        is_on=is_on,
    )


def hub_switch(settings: Mapping[str, Any], access: BenchAccess) -> Switch:
    """The port of a USB hub that can switch its power, by uhubctl."""
    port = ("-l", settings["location"], "-p", str(settings["port"]))

    def put(on: bool) -> None:  # noqa: FBT001 - of Switch
        access.run_command(("uhubctl", *port, "-a", ON_AND_OFF[on]), f"uhubctl, {ON_AND_OFF[on]}")

    return _switch(settings, access, put, _is_installed(access, "uhubctl"))


def place_switch(settings: Mapping[str, Any], access: BenchAccess) -> Switch:
    """The power of a place of labgrid, by labgrid-client."""
    coordinator, resource = settings["coordinator"], settings["resource"]
    where = (*(("-x", coordinator) if coordinator else ()), "-p", settings["place"])
    which = ("--name", resource) if resource else ()

    def put(on: bool) -> None:  # noqa: FBT001 - of Switch
        access.run_command(
            ("labgrid-client", *where, "power", ON_AND_OFF[on], *which),
            f"labgrid-client power {ON_AND_OFF[on]}",
        )

    return _switch(settings, access, put, _is_installed(access, "labgrid-client"))


def _is_installed(access: BenchAccess, program: str) -> Callable[[int], str]:
    def check(_limit_ms: int) -> str:
        access.find_program((program,), f"what throws it, {program},")
        return f"{program} is there, and was not run"

    return check


def outlet_switch(settings: Mapping[str, Any], access: BenchAccess) -> Switch:
    """An outlet that two HTTP addresses throw."""

    def check(limit_ms: int) -> str:
        for each in ON_AND_OFF:
            access.knock(settings[f"{each}_url"], limit_ms)
        return "it takes connections, and was asked nothing"

    return _switch(settings, access, lambda on: access.fetch(settings[f"{ON_AND_OFF[on]}_url"]), check)


def _switch(
    settings: Mapping[str, Any],
    access: BenchAccess,
    put: Callable[[bool], None],
    check: Callable[[int], str],
    *,
    is_on: bool = True,
) -> Switch:
    return Switch(
        put,
        exactness_ms=settings["exactness_ms"],
        settle_ms=settings["settle_ms"],
        wait_ms=access.wait_ms,
        is_on=is_on,
        check=check,
    )


class PersonAtRotor:
    """A person who holds the rotor, and says so: it is a switch whose exactness is a person's."""

    exactness_ms = 5_000
    exactness = "5 s"

    def __init__(self, ask: Callable[[str], bool] | None) -> None:
        self._ask = ask
        self.is_on = False
        self.times_put = 0

    @property
    def is_there(self) -> bool:
        """Whether somebody sits at a terminal."""
        return self._ask is not None

    def check(self, _limit_ms: int) -> str:
        """Say whether somebody is there; where nobody is, tests that need him are skipped."""
        return "somebody is at the terminal" if self.is_there else "nobody is at a terminal"

    def put(self, *, on: bool) -> None:
        """Ask for it and wait. NotOnThisRig where nobody does it, BenchLost where nobody lets go again."""
        wanted = "Block the rotor of the pump" if on else "Let the rotor of the pump go"
        if self._ask is None or not self._ask(f"{wanted}, and say yes when it is done."):
            lost = NotOnThisRig if on else BenchLost
            raise lost(f"nobody did this: {wanted}", advice="run it at a terminal, and answer with yes")
        self.is_on = on
        self.times_put += 1

    def close(self) -> None:
        """Ask to let go of a rotor that is held still."""
        if self.is_on:
            self.put(on=False)
