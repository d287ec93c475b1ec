"""Preflight: whether a bench is fit for a run, within 5 s and before the first test, with all reasons at once.

What is looked at is a table of checks on what was seen. Nothing that changes therapy is sent.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.bench_look import PartLooks
from hil.capability_contract import Promise, contradiction
from hil.deadline import Deadline
from hil.errors import BadConfiguration, BenchLost, InUse, LeaseLost, PumpbenchError
from hil.line_facts import damaged_frames
from hil.programmer.expected_pump import serial_of
from hil.programmer.programmer import Programmer
from protocol.identifiers import AlarmId, DeviceKind, StatusFlag
from protocol.messages.conversation import GetLinkStats, Ping
from protocol.messages.reading import GetInfo, GetLimits, GetStatus
from protocol.messages.time import GetTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.bench_look import PartSeen
    from hil.board_facts import Expected
    from hil.instruments.declaration import Part
    from hil.targets.target import Target
    from protocol.link.development_keys import DeviceKey
    from protocol.messages.reading import GetInfoReply, GetLimitsReply, GetStatusReply

LIMIT_MS: Final = 5_000
PART_LIMIT_MS: Final = 3_000
"""A balance at 9600 baud answers in 50 ms, a board's time command in less."""
PINGS: Final = 20
DAMAGED_MAX: Final = 1
"""Of the pings: a line that damages a tenth of its frames fails tests that have done nothing wrong."""
CLOCK_WINDOW_MS: Final = 1_000
DRIFT_MAX_MS: Final = 50
"""Of the window: two readings and their answers, over a USB adapter with 16 ms of latency."""
FREE_BYTES_MIN: Final = 200 * 1024 * 1024
"""Some twenty times what the recording of a whole run takes."""
NOTHING_PROMISED: Final = Promise("the target")
MS_PER_S: Final = 1_000
BYTES_PER_MIB: Final = 1024 * 1024
BATTERY_ALARMS: Final = (AlarmId.EOS, AlarmId.ERI)


@dataclass
class Seen:
    """What a preflight saw; None where nobody answered that far."""

    free_bytes: int = 0
    report: Path = Path()
    promise: Promise = NOTHING_PROMISED
    """What the target says of itself."""
    trouble: str = ""
    """What ended the talk with the pump before its end; "" where nothing did."""
    info: GetInfoReply | None = None
    status: GetStatusReply | None = None
    answered: int = 0
    """Pings that were answered."""
    repeated: int = 0
    """Pings that had to be sent again."""
    damaged: int = 0
    """Frames that arrived damaged, at either end."""
    host_ms: int = 0
    """Time on the host between the two readings of the pump's clock."""
    pump_ms: int | None = None
    """The same on the pump's own clock."""
    expected: Expected | None = None
    """What a pump of the profile of its bench file says; None where that names none."""
    limits: GetLimitsReply | None = None
    """What the pump refuses to exceed; only asked where something is expected."""
    parts: tuple[PartSeen, ...] = ()
    """Instruments and console around the board."""


class Check(NamedTuple):
    """One row: whether it was looked at, what was found in words, and what is wrong with it, "" where nothing is."""

    name: str
    was_seen: Callable[[Seen], bool]
    found: Callable[[Seen], str]
    problem: Callable[[Seen], str]


class CheckState(StrEnum):
    """What can be said of a check."""

    FIT = "fit"
    UNFIT = "unfit"
    NOT_SEEN = "not seen"


class CheckResult(NamedTuple):
    """What came of one check; `found` "" where it was not seen, `problem` "" where nothing was found wrong."""

    name: str
    state: CheckState
    found: str
    problem: str


def look_at(
    programmer: Programmer,
    report: Path,
    promise: Promise = NOTHING_PROMISED,
    expected: Expected | None = None,
    parts: tuple[Part, ...] = (),
) -> Seen:
    """Talk to the pump for 5 s at most, and look at the parts around it meanwhile.

    `expected` is what a pump of the profile of its bench file says; None where that names none. InUse, LeaseLost and
    BadConfiguration of the pump's line pass: no bench is lost by them.
    """
    seen = Seen(_free_bytes(report), report, promise, expected=expected)
    deadline = Deadline.after(LIMIT_MS, programmer.session.now_ms())
    looks = PartLooks(parts, PART_LIMIT_MS)
    try:
        _talk(programmer, seen, deadline)
    except (InUse, LeaseLost, BadConfiguration):
        raise
    except PumpbenchError as error:
        seen.trouble = str(error)
    seen.parts = looks.ended(lambda: (deadline.at_ms - programmer.session.now_ms()) / MS_PER_S)
    return seen


def _free_bytes(report: Path) -> int:
    """What is free where the report goes, whose directory may not be there yet."""
    there = next(place for place in (report.absolute(), *report.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free


def _talk(programmer: Programmer, seen: Seen, deadline: Deadline) -> None:
    requester = programmer.requester
    requester.ensure_session(deadline)
    seen.info = requester.request(GetInfo(), deadline)
    seen.status = requester.request(GetStatus(), deadline)
    if seen.expected is not None:
        seen.limits = requester.request(GetLimits(), deadline)
    before = requester.request(GetLinkStats(clear=False), deadline)
    first_ms, first_pump_ms = _clock(programmer, deadline)
    log = programmer.wire_log
    repeated_before, damaged_before = log.repeated, log.damaged
    while seen.answered < PINGS and not deadline.passed(programmer.session.now_ms()):
        requester.request(Ping(), deadline)
        seen.answered += 1
    seen.repeated = log.repeated - repeated_before
    after = requester.request(GetLinkStats(clear=False), deadline)
    seen.damaged = log.damaged - damaged_before + damaged_frames(after) - damaged_frames(before)
    if seen.info.kind is DeviceKind.HARDWARE:
        programmer.session.wait(max(0, first_ms + CLOCK_WINDOW_MS - programmer.session.now_ms()))
    last_ms, last_pump_ms = _clock(programmer, deadline)
    seen.host_ms, seen.pump_ms = last_ms - first_ms, last_pump_ms - first_pump_ms


def _clock(programmer: Programmer, deadline: Deadline) -> tuple[int, int]:
    """The host's time and the pump's own, in ms."""
    told = programmer.requester.request(GetTime(0), deadline)
    return programmer.session.now_ms(), told.t_mono_s * MS_PER_S + told.t_ms


def _found_identity(seen: Seen) -> str:
    if seen.info is None:
        return "not known"
    return f"{seen.info.kind.name.lower()}, serial {serial_of(seen.info)}, firmware 0x{seen.info.fw:08X}"


def _found_promise(seen: Seen) -> str:
    promised = ", ".join(sorted(seen.promise.capabilities))
    return promised or "none: tests that need any are skipped"


def _link_problem(seen: Seen) -> str:
    if seen.answered < PINGS:
        return f"only {seen.answered} of {PINGS} pings were answered in {LIMIT_MS // MS_PER_S} s; look at the cable"
    spoilt = max(seen.repeated, seen.damaged)
    if spoilt > DAMAGED_MAX:
        return (
            f"of {PINGS} pings {seen.repeated} had to be sent again, and {seen.damaged} frames arrived damaged; look "
            "at the cable, its ground and the speed"
        )
    return ""


def _clock_problem(seen: Seen) -> str:
    """A board's clock has to run as the host's does; that of an emulated pump is turned by its rig."""
    if seen.info is None or seen.info.kind is not DeviceKind.HARDWARE or seen.pump_ms is None:
        return ""
    if abs(seen.pump_ms - seen.host_ms) > DRIFT_MAX_MS:
        return f"in {seen.host_ms} ms of the host the pump's clock went on by {seen.pump_ms} ms"
    return ""


def _found_clock(seen: Seen) -> str:
    is_valid = seen.status is not None and StatusFlag.WALL_VALID in seen.status.flags
    valid = "valid" if is_valid else "not set"
    return f"{seen.pump_ms} ms in {seen.host_ms} ms of the host; time of day {valid}"


def _found_power(seen: Seen) -> str:
    return "" if seen.status is None else f"{seen.status.batt_pct} %, {seen.status.batt_mv} mV"


def _power_problem(seen: Seen) -> str:
    if seen.status is None:
        return ""
    raised = [alarm.name for alarm in BATTERY_ALARMS if seen.status.alarm_active >> alarm & 1]
    return f"its battery is to be replaced ({', '.join(raised)}, {seen.status.batt_mv} mV)" if raised else ""


def _disk_problem(seen: Seen) -> str:
    if seen.free_bytes >= FREE_BYTES_MIN:
        return ""
    return (
        f"{seen.free_bytes // BYTES_PER_MIB} MiB are free for the report in {seen.report}, and "
        f"{FREE_BYTES_MIN // BYTES_PER_MIB} MiB are wanted"
    )


def _profile_problem(seen: Seen) -> str:
    if seen.expected is None or seen.info is None or seen.limits is None:
        return ""
    wrong = [each.in_words() for each in seen.expected.differences(seen.info, seen.limits)]
    return f"it is no pump of the profile {seen.expected.profile}: {', '.join(wrong)}" if wrong else ""


CHECKS: Final = (
    Check("identity", lambda _seen: True, _found_identity, lambda seen: seen.trouble),
    Check(
        "capabilities",
        lambda seen: seen.info is not None,
        _found_promise,
        lambda seen: "" if seen.info is None else contradiction(seen.promise, seen.info),
    ),
    Check(
        "link",
        lambda seen: seen.status is not None,
        lambda seen: (
            f"{seen.answered} of {PINGS} pings, {seen.repeated} again, {seen.damaged} damaged frames"
        ),
        _link_problem,
    ),
    Check("clock", lambda seen: seen.pump_ms is not None, _found_clock, _clock_problem),
    Check("power", lambda seen: seen.status is not None, _found_power, _power_problem),
    Check(
        "disk", lambda _seen: True, lambda seen: f"{seen.free_bytes // BYTES_PER_MIB} MiB free", _disk_problem
    ),
)


PROFILE_CHECK: Final = Check(
    "profile",
    lambda seen: seen.limits is not None,
    lambda seen: "" if seen.expected is None else seen.expected.profile,
    _profile_problem,
)


def results(seen: Seen) -> list[CheckResult]:
    """What came of each check; the profile is one where the bench file names it, and so are instruments and console."""
    checks = CHECKS if seen.expected is None else (*CHECKS, PROFILE_CHECK)
    return [*(_result(check, seen) for check in checks), *map(_result_of_part, seen.parts)]


def _result_of_part(part: PartSeen) -> CheckResult:
    if not (part.found or part.problem):
        return CheckResult(part.name, CheckState.NOT_SEEN, "", "")
    state = CheckState.UNFIT if part.problem else CheckState.FIT
    return CheckResult(part.name, state, part.found, part.problem)


def _result(check: Check, seen: Seen) -> CheckResult:
    if not check.was_seen(seen):
        return CheckResult(check.name, CheckState.NOT_SEEN, "", "")
    problem = check.problem(seen)
    return CheckResult(
        check.name, CheckState.UNFIT if problem else CheckState.FIT, check.found(seen), problem
    )


def refuse_contradiction(target: Target, key: DeviceKey) -> None:
    """BenchLost where a pump that a target makes says what cannot be with the target's promise. It is thrown away."""
    with closing(target):
        target.start()
        with closing(target.open_channel()) as channel, closing(Programmer(channel, key=key)) as programmer:
            info = programmer.info()
    wrong = contradiction(Promise(target.address, target.capabilities), info)
    if wrong:
        raise BenchLost(wrong, advice="no test was begun; its kind of target says of itself what is not so")


def refuse_where_unfit(address: str, seen: Seen) -> None:
    """BenchLost with all reasons, where one check has found something wrong."""
    reasons = [f"{each.name}: {each.problem}" for each in results(seen) if each.problem]
    if reasons:
        raise BenchLost(
            f"{address} is not fit for a run: {'; '.join(reasons)}",
            advice="no test was begun; `pumpbench hil preflight` looks again",
        )
