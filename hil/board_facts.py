"""What a bench file says of a board beside where it is: its firmware file, and which profile it was programmed with."""

from __future__ import annotations

import hashlib
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.address import parse
from hil.errors import BadConfiguration, PumpbenchError
from hil.programmer.programmer import Programmer
from hil.report.records import FirmwareFile
from hil.targets import make_target
from hil.targets.choices import PumpChoice
from protocol.identifiers import Role
from protocol.link.development_keys import development_key
from protocol.messages.reading import GetInfoReply, GetLimitsReply

if TYPE_CHECKING:
    from hil.bench_file import BenchTarget

OF_DEVICE: Final = {
    GetInfoReply: ("model", "reservoir_size_nl"),
    GetLimitsReply: (
        "rate_min_nl_per_day",
        "rate_max_nl_per_day",
        "safe_rate_nl_per_day",
        "stroke_nl",
        "max_segments",
        "log_capacity",
        "max_payload",
        "min_bolus_gap_s",
        "max_stop_s",
        "hello_per_min",
        "hello_per_day",
        "bolus_max_duration_s",
    ),
}
"""What a pump says of itself that follows from its profile, and that no clinic configures."""


class Difference(NamedTuple):
    """What a board says of itself otherwise than a pump of its profile would."""

    field: str
    of_board: int
    of_profile: int

    def in_words(self) -> str:
        """For a sentence."""
        return f"{self.field} is {self.of_board} and not {self.of_profile}"


class Expected(NamedTuple):
    """What a pump of the profile that a bench file names says of itself."""

    profile: str
    info: GetInfoReply
    limits: GetLimitsReply

    def differences(self, info: GetInfoReply, limits: GetLimitsReply) -> list[Difference]:
        """Where a board says something else."""
        pairs = ((info, self.info), (limits, self.limits))
        return [
            Difference(name, getattr(of_board, name), getattr(of_profile, name))
            for of_board, of_profile in pairs
            for name in OF_DEVICE[type(of_profile)]
            if getattr(of_board, name) != getattr(of_profile, name)
        ]


def expected_of(bench: BenchTarget | None) -> Expected | None:
    """Ask an emulated pump of the profile that the bench file names; None where it names none.

    BadConfiguration where no pump can be made of it.
    """
    if bench is None or not bench.profile:
        return None
    target = make_target(parse("emulator"), PumpChoice(bench.profile))
    try:
        with closing(target):
            target.start()
            channel = target.open_channel()
            with closing(Programmer(channel, key=development_key(Role.CLINICIAN))) as programmer:
                return Expected(bench.profile, programmer.info(), programmer.limits())
    except PumpbenchError as error:
        raise BadConfiguration(
            f"{bench.path}: targets.{bench.name}.profile is none that can be read: {error.message}",
            advice=error.advice or "name a profile of `pumpbench profile`, or a file",
        ) from error


def firmware_file(bench: BenchTarget | None, flashed_sha256: str = "") -> FirmwareFile | None:
    """The file that the bench file names as the board's firmware, with its hash; None where it names none.

    `flashed_sha256` is that of what this run has flashed, "" where it has flashed nothing. BadConfiguration where the
    file cannot be read, or is not what was flashed any more.
    """
    if bench is None or bench.firmware is None:
        return None
    try:
        with bench.firmware.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadConfiguration(
            f"{bench.path}: the firmware of {bench.name} cannot be read: {bench.firmware} ({error.strerror})",
            advice="build it, or take firmware out of the bench file",
        ) from error
    if flashed_sha256 not in {"", sha256}:
        raise BadConfiguration(
            f"{bench.firmware} is not what was flashed a moment ago: somebody has written it since",
            advice="flash again, and build nothing meanwhile",
        )
    return FirmwareFile(str(bench.firmware), sha256, flashed=bool(flashed_sha256))
