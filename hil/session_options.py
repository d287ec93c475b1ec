"""What the options of a run may say of its target: refused in one sentence where this target does not take them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hil.errors import BadConfiguration
from hil.targets.choices import PumpChoice
from hil.targets.supervisor import FOUND_WITHIN_MS, MS_PER_S

if TYPE_CHECKING:
    from hil.address import Address

PROFILE_OPTION: Final = "--profile (--hil-profile)"
BAUD_OPTION: Final = "--baud (--hil-baud)"
WAIT_SETTING: Final = "hil_line_back_within_s"
MAX_WAIT_S: Final = 3_600
SEED_OPTION: Final = "--seed (--hil-seed)"


def check_emulator_options(
    address: Address, profile: str | None, seed: int | None, *, makes_pumps: bool
) -> None:
    """BadConfiguration that names the option, what it must be, and what it is."""
    for option, given in ((PROFILE_OPTION, profile), (SEED_OPTION, seed)):
        if given is None:
            continue
        from hil.targets.emulated import check_choice  # noqa: PLC0415 - a board needs no emulator

        if not makes_pumps:
            raise BadConfiguration(
                f"{option} is for emulated pumps alone, and {address} is a pump that is there already;"
                f" it is {given!r}",
                advice="leave it out, or name the target emulator",
            )
        try:
            check_choice(PumpChoice(given) if isinstance(given, str) else PumpChoice(seed=given))
        except BadConfiguration as error:
            raise BadConfiguration(
                f"{option} names no pump that can be made: {error}", advice=_advice_on(option)
            ) from error


def check_baud(address: Address, baud: int | None) -> None:
    """BadConfiguration where the line has no speed, or this is none."""
    if baud is None:
        return
    if not address.scheme.takes_baud:
        raise BadConfiguration(
            f"{BAUD_OPTION} is for device paths alone, and {address} is none; it is {baud}",
            advice="leave it out, or name the target by its path (/dev/NAME); usb:VID:PID has a speed too",
        )
    if address.baud is not None:
        raise BadConfiguration(
            f"{BAUD_OPTION} is {baud}, and {address} says its speed itself",
            advice="leave one of them out",
        )
    if baud <= 0:
        raise BadConfiguration(f"{BAUD_OPTION} must be a number of bits per second above 0, is {baud}")


def waiting_ms(seconds: str) -> int:
    """How long a line is waited for. BadConfiguration where that is no number of seconds up to an hour."""
    if not seconds:
        return FOUND_WITHIN_MS
    if not re.fullmatch("[0-9]{1,4}", seconds) or int(seconds) > MAX_WAIT_S:
        raise BadConfiguration(
            f"{WAIT_SETTING} must be a whole number of seconds from 0 to {MAX_WAIT_S}, is {seconds!r}"
        )
    return int(seconds) * MS_PER_S


def _advice_on(option: str) -> str:
    if option != PROFILE_OPTION:
        return ""
    from hil.targets.emulated import profile_names  # noqa: PLC0415 - as above

    return f"name {', '.join(profile_names())}, or the path of a profile file"
