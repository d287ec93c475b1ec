"""The seventy faults that a tester of such pumps expects to inject, by their number in the domain report [DOMAIN 8].

Each row says where it acts, what causes it here, what the firmware can see of it and what is expected. Nothing is
caused from here: `caused_by` names faults of the catalogue, verbs of `hil.noise.FaultyLine`, or what a person does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from firmware_emu.faults.catalogue import FAULTS
from firmware_emu.faults.fault import Where


class Outside(StrEnum):
    """What a fault acts on that is not in the pump."""

    LINE = "line"
    OPERATOR = "operator"


class NumberedFault(NamedTuple):
    """One fault of the domain report."""

    number: int
    summary: str
    where: Where | Outside
    caused_by: tuple[str, ...]
    """Faults of the catalogue; verbs of the line; commands of a story. Empty where it is not modelled."""
    seen_as: str
    """What the firmware can see of it; "nothing": only the bench knows."""
    expected: str
    not_modelled: str = ""
    """Why it is not, in one sentence; "" where it is."""


_PLANT, _POWER, _MEMORY, _CLOCK, _PROCESSOR = (
    Where.PLANT,
    Where.POWER,
    Where.MEMORY,
    Where.CLOCK,
    Where.PROCESSOR,
)
_LINE, _OPERATOR = Outside.LINE, Outside.OPERATOR
_EDGES: Final = "missing edges"
_NOTHING: Final = "nothing"

NUMBERED: Final = tuple(
    NumberedFault(*row)
    for row in (
        (1, "stall for a time, as in a scanner", _PLANT, ("mri", "motor-stall"), _EDGES,
         "alarm within the detection time, recovery logged, nothing caught up"),
        (2, "stall that lasts 2 to 24 h after the field", _PLANT, ("mri",), _EDGES,
         "alarm repeats at its interval; the dose is missed to the stroke"),
        (3, "stall for good", _PLANT, ("motor-stall", "wear"), _EDGES,
         "alarm for ever; TUBE_SET at 48 h, once"),
        (4, "stall that comes and goes", _PLANT, ("motor-stall", "wear"), _EDGES,
         "a pair of log entries each time"),
        (5, "rotor turns backwards", _PLANT, ("rotor-backward", "mri"), "reversed edges",
         "not counted as delivery"),
        (6, "stall while stopped", _PLANT, ("motor-stall",), _NOTHING, "found only after the restart"),
        (7, "edge lost or too many", _PLANT, ("edge-lost", "edge-false"), "edges that do not match what was commanded",
         "never counted as more than was commanded; the mismatch is logged"),
        (8, "too much is delivered, at once or more and more", _PLANT, ("accuracy", "accuracy-drift"), _NOTHING,
         "belief unchanged; the check at the refill flags it"),
        (9, "too little is delivered, propellant is lost", _PLANT, ("accuracy", "propellant-loss"), _NOTHING,
         "belief unchanged; the check at the refill flags it"),
        (10, "catheter blocked, then free", _PLANT, ("occlusion",), _NOTHING,
         "nothing at the tip, then a bolus at once"),
        (11, "catheter leaks or is off", _PLANT, ("catheter-leak",), _NOTHING,
         "less at the tip than the pump gave"),
        (12, "fluid flows by itself", _PLANT, ("siphon",), _NOTHING, "the truth shows the overdose"),
        (13, "reservoir runs dry", _PLANT, ("accuracy", "partial-fill"), _NOTHING,
         "flow ends before or after the alarm, as truth and belief are apart"),
        (14, "residual volume stays in", _PLANT, ("accuracy",), _NOTHING,
         "flow ends while the belief is not at zero"),
        (15, "pressure above 2 ATA, altitude, fever", _PLANT, ("ambient-pressure", "fever"), _NOTHING,
         "the flow follows the model; fluid may go back"),
        (16, "tube dented after 48 h", _PLANT, ("tube-set",), "that the rotor stood for 48 h",
         "TUBE_SET; what is delivered after it is suspect"),
        (17, "fill beside the reservoir", _PLANT, ("pocket-fill",), _NOTHING, "dry long before the alarm"),
        (18, "overfill", _PLANT, ("overfill",), _NOTHING, "belief is what was entered; accuracy suspect"),
        (19, "fill in part", _PLANT, ("partial-fill",), _NOTHING, "dry before the alarm"),
        (20, "wrong concentration entered", _OPERATOR, ("rig fill", "program refill"), _NOTHING,
         "the programmer asks for it twice and shows the dose that follows"),
        (21, "no bridge at a change of concentration", _OPERATOR, ("program refill",), _NOTHING,
         "the programmer warns; the dose at the tip is wrong for one path volume"),
        (22, "bridge for another length of catheter", _OPERATOR, ("program refill", "program bridge"), _NOTHING,
         "drug at the wrong rate for the difference"),
        (23, "no rinse", _OPERATOR, ("rig fill",), _NOTHING, "the old drug in the residual volume mixes in"),
        (24, "wrong name of the drug", _OPERATOR, ("program refill",), _NOTHING,
         "a program for another drug is refused until it is confirmed"),
        (25, "measured volume mistyped", _OPERATOR, ("program refill",), _NOTHING,
         "the check of the refill asks"),
        (26, "prime done twice", _OPERATOR, ("program prime",), "that it has primed already",
         "the programmer asks before the second"),
        (27, "prime with 0.199 mL", _OPERATOR, ("program prime",), _NOTHING,
         "0.059 mL of drug too much at the tip"),
        (28, "drawn from the side port, no prime after it", _PLANT, ("side-port-aspiration",), _NOTHING,
         "no drug at the tip for one volume of the catheter"),
        (29, "brown-out by a load", _POWER, ("resistive-film",), "a restart",
         "RESET, and the old therapy or the safe state"),
        (30, "replacement indicated too early", _POWER, ("battery-drain",), "the voltage", "ERI"),
        (31, "less than 90 days from there to the end", _POWER, ("battery-drain",), "the voltage",
         "EOS when it is due, never later than 90 days"),
        (32, "end of service in a bolus", _POWER, ("battery-drain",), "the voltage, the calendar",
         "the bolus ends with reason EOS and counts once"),
        (33, "short of a feedthrough", _POWER, ("feedthrough-short",), "missing edges and restarts by turns",
         "each is logged; no therapy is lost or doubled"),
        (34, "converter of the battery stuck", _POWER, ("adc-stuck",), "a voltage far from the gauge",
         "POST_FAIL BATTERY, and the gauge decides"),
        (35, "too hot", _PLANT, (), _NOTHING, "an alarm where a sensor is fitted",
         "this pump has no sensor of temperature, and nothing in it depends on its own"),
        (36, "transducer of the alarms dead", _POWER, ("sounder-dead",), "no current through it",
         "found by a self-test and at each tone, and logged"),
        (37, "a task hangs; a watchdog that bites for nothing, or not at all", _PROCESSOR,
         ("hung-task", "watchdog-false", "watchdog-dead"), "a restart by the watchdog; the test of it",
         "restart within its time, therapy goes on or the safe state"),
        (38, "clock stands, runs fast or slow, or jumps", _CLOCK, ("clock-stop", "clock-rate", "clock-jump"),
         "a register that cannot be", "no dose twice; the clock is told to be wrong where that can be known"),
        (39, "counter of milliseconds wraps after 49.7 days", _CLOCK, (), _NOTHING, "nothing happens",
         "no counter of this program wraps; a test runs 100 days over it"),
        (40, "one bit flips", _MEMORY, ("bit-flip", "ram-flip", "code-flip"), "a check that fails",
         "put right, or the safe state; never a wrong dose"),
        (41, "two bits flip in what is kept twice", _MEMORY, ("bit-flip", "ram-flip"), "checks that fail",
         "safe state and alarm"),
        (42, "write torn at each byte", _POWER, ("power-cut-at-write",), "a restart, a torn write",
         "old, new or the safe state"),
        (43, "memory that does not take what is written", _MEMORY, ("stuck-page", "stuck-cell"), "what is read back",
         "critical: safe state and alarm; else an alarm"),
        (44, "stack overflows", _PROCESSOR, ("stack-overflow",), "its guard", "safe state and alarm"),
        (45, "records of another version", _MEMORY, ("bit-flip",), "a version that it does not write",
         "as damaged"),
        (46, "log full, its place lost", _MEMORY, ("bit-flip", "stuck-page"), "slots that cannot be read",
         "the oldest are overwritten; gaps are told"),
        (47, "frame dropped, doubled, out of order, late, cut or changed", _LINE,
         ("drop", "duplicate", "swap", "delay", "hold", "flip"), "a frame that fails its checks, or none",
         "nothing twice; the programmer repeats"),
        (48, "frame for another pump", _LINE, ("inject",), "a frame that fails its tag", "no answer"),
        (49, "old session replayed", _LINE, ("inject",), "frames of no session", "nothing is executed"),
        (50, "link lost at each step of a commit", _LINE, ("drop",), _NOTHING,
         "old or new program, never a silent stop"),
        (51, "interference wakes the receiver", _PROCESSOR, ("emi-wake",), "a receiver that wakes and hears no frame",
         "therapy goes on after a time-out at the latest"),
        (52, "transfer of the log broken off", _LINE, ("drop",), _NOTHING,
         "taken up where it was, or told as incomplete"),
        (53, "two programmers at once", _OPERATOR, ("program",), "two sessions",
         "the second is refused or takes over; told"),
        (54, "what is read back differs", _LINE, ("flip",), _NOTHING, "the programmer refuses to commit"),
        (55, "patient asks again and again, or at a bad time", _OPERATOR, ("program patient-bolus",), "the requests",
         "refused with a reason; limits hold"),
        (56, "command without a key", _LINE, ("inject",), "a frame of no session", "no effect"),
        (57, "random opcodes and lengths", _LINE, ("inject",), "messages that it does not know",
         "a defined refusal"),
        (58, "minutes for hours in an interval", _OPERATOR, ("program write",), _NOTHING,
         "refused, or a question that names the day's dose"),
        (59, "micrograms for milligrams", _OPERATOR, ("program set", "program write"), _NOTHING,
         "refused: out of the device's range"),
        (60, "decimal slip by ten", _OPERATOR, ("program set",), _NOTHING,
         "a question that names old and new dose"),
        (61, "session left, pump stopped", _OPERATOR, ("program stop",), "a stop that lasts",
         "the programmer says so; alarm when the stop expires"),
        (62, "stop before a scan, and forget it", _OPERATOR, ("program stop",), "a stop that lasts",
         "alarm, and STOPPED_TOO_LONG"),
        (63, "nobody asks the pump after a scan", _OPERATOR, ("rig inject mri",), _EDGES,
         "the alarm sounds until the rotor turns"),
        (64, "other time zone with a flexible program", _OPERATOR, ("program set-time",), "the clock that was set",
         "the schedule follows, and the programmer shows it"),
        (65, "soft limit confirmed unread", _OPERATOR, ("program set",), _NOTHING,
         "what was confirmed stays visible"),
        (66, "refill missed by days", _OPERATOR, ("rig advance",), "its own calculation",
         "LOW_RESERVOIR, then EMPTY and its policy"),
        (67, "bolus broken off, prime, resume", _OPERATOR, ("program cancel", "program prime"), "the commands",
         "the sum is what was commanded, to the stroke"),
        (68, "alarm silenced again and again", _OPERATOR, ("program alarms",), "the acknowledgements",
         "a critical tone comes back at the end of each session"),
        (69, "confirmed without a look", _OPERATOR, ("program",), _NOTHING,
         "old and new side by side before anything is sent"),
        (70, "new pump told the old catheter's volume", _OPERATOR, ("program prime", "program config"), _NOTHING,
         "a prime of another volume than the path"),
    )
)  # fmt: skip


def beyond_the_numbered() -> tuple[str, ...]:
    """Faults of the catalogue that no number stands for, those of an installed package among them."""
    named = {name for row in NUMBERED for name in row.caused_by}
    return tuple(name for name in FAULTS if name not in named)
