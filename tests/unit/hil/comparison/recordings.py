"""Visits to an emulated pump in this process, recorded: of the same script, the same pump, or another one."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from hil.address import parse
from hil.capture.run_recording import RunRecording
from hil.comparison.side import Side
from hil.outcome_store import OutcomeStore
from hil.programmer.entropy import SystemEntropy
from hil.programmer.programmer import Programmer
from hil.targets import make_target
from hil.targets.choices import PumpChoice
from protocol.identifiers import Role
from protocol.link.development_keys import development_key
from protocol.wire.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hil.capture.messages import RecordedMessage

BOLUS_NL, BOLUS_S = 20_000, 600
SEED = 7


def visit(pump: Programmer) -> None:
    """Look, give a bolus, see that it runs, cancel it, read the log."""
    pump.status()
    pump.limits()
    given = pump.bolus(BOLUS_NL, BOLUS_S)
    pump.session.wait(3_000)
    pump.status()
    pump.cancel_bolus(given.cmd_id)
    pump.read_log()


def visit_with_one_more_question(pump: Programmer) -> None:
    """The same, with a status that nobody needed."""
    pump.status()
    pump.limits()
    pump.delivery()
    given = pump.bolus(BOLUS_NL, BOLUS_S)
    pump.session.wait(3_000)
    pump.status()
    pump.cancel_bolus(given.cmd_id)
    pump.read_log()


def recorded(
    path: Path,
    script: Callable[[Programmer], object] = visit,
    *,
    model: dict[str, Any] | None = None,
    profile: str = "implanted",
) -> Path:
    """The recording of a script at a pump of this seed; `model` is what its profile has otherwise."""
    target = make_target(parse("emulator"), PumpChoice(profile, seed=SEED, model=model or {}))
    target.start()
    with closing(target):
        told = {"target": "emulator", "profile": profile}
        recording = RunRecording(path, told, virtual=True, secrets=True)
        channel: Any = recording.recorded(target.open_channel())
        key = development_key(Role.CLINICIAN)
        with Programmer(channel, key=key, store=OutcomeStore(), entropy=SystemEntropy()) as programmer:
            script(programmer)
        recording.close()
    return path


def messages(path: Path) -> list[RecordedMessage]:
    """What was said in a recording."""
    return list(Side(path))


def at(said: list[RecordedMessage], name: str, number: int = 0) -> int:
    """The place of the message of that name, counted from 0."""
    places = [place for place, each in enumerate(said) if type(each.message).__name__ == name]
    return places[number]


def changed(said: list[RecordedMessage], name: str, number: int = 0, **fields: Any) -> list[RecordedMessage]:
    """The same conversation, but for these fields of that message."""
    place = at(said, name, number)
    entry = said[place]
    message: Any = entry.message
    assert isinstance(entry.frame, Frame)
    return [*said[:place], entry._replace(message=message._replace(**fields)), *said[place + 1 :]]
