"""What a programmer does in these tests, recorded against a pump or a replay in this process."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from hil.address import parse
from hil.capture.messages import RecordedMessage, read_messages
from hil.capture.run_recording import RunRecording
from hil.outcome_store import OutcomeStore
from hil.programmer.client_session import NoReply, Refused, Replied
from hil.programmer.entropy import SeededEntropy, SystemEntropy
from hil.programmer.programmer import Programmer
from hil.replay.channel import ReplayChannel, ReplayLine
from hil.replay.device import ReplayDevice
from hil.replay.values import Volatile, translated
from hil.targets import make_target
from hil.targets.choices import PumpChoice
from protocol.codec.layouts import decode, encode
from protocol.identifiers import DeviceKind, Kind, Role
from protocol.link.development_keys import development_key
from protocol.messages.reading import GetInfoReply
from protocol.registry import command_of
from protocol.wire.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hil.programmer.log_reading import LogHistory
    from hil.replay.conversation import Conversation
    from hil.targets.target import Target
    from protocol.identifiers import Opcode
    from protocol.messages.command import Request

BOLUS_NL, BOLUS_S = 20_000, 600
SEED = 7


def visit(pump: Programmer, _target: Target | None = None, *, wait_ms: int = 3_000) -> LogHistory:
    """A short visit: look, give a bolus, see that it runs, cancel it, read the log, which is returned, look again."""
    pump.status()
    pump.bolus(BOLUS_NL, BOLUS_S)
    pump.delivery()
    pump.session.wait(wait_ms)
    pump.status()
    pump.cancel_bolus()
    history = pump.read_log()
    pump.status()
    return history


def run(
    address: str,
    script: Callable[[Programmer, Target], object],
    recorded_in: Path | None = None,
    *,
    store: OutcomeStore | None = None,
    role: Role = Role.CLINICIAN,
) -> Target:
    """Let a programmer do this at the device of an address, and record it. Returns the target, closed."""
    target = make_target(parse(address), PumpChoice(seed=SEED))
    target.start()
    recording = None
    with closing(target):
        channel: Any = target.open_channel()
        if recorded_in is not None:
            recording = RunRecording(recorded_in, {"target": address}, virtual=True, secrets=True)
            channel = recording.recorded(channel)
        key = development_key(role)
        with Programmer(
            channel, key=key, store=store or OutcomeStore(), entropy=SystemEntropy()
        ) as programmer:
            script(programmer, target)
        if recording is not None:
            recording.close()
    return target


def recorded_visit(path: Path) -> Path:
    """The recording of a visit to an emulated pump."""
    run("emulator", visit, path)
    return path


def device_of(conversation: Conversation, **settings: Any) -> ReplayDevice:
    """A replay with the same chance each time."""
    return ReplayDevice(conversation, SeededEntropy("replay"), **settings)


def programmer_on(
    device: ReplayDevice | ReplayLine, store: OutcomeStore | None = None, role: Role = Role.CLINICIAN
) -> Programmer:
    """A programmer with its session open, on a new line to a device or on one that is there."""
    channel = ReplayChannel(device if isinstance(device, ReplayLine) else ReplayLine(device))
    programmer = Programmer(
        channel, key=development_key(role), store=store or OutcomeStore(), entropy=SeededEntropy("programmer")
    )
    programmer.connect()
    return programmer


def ask(pump: Programmer, message: Request[Any]) -> Any:
    """One request as it is, past the ledger of this side; its reply, its refusal, or that nothing came."""
    pump.requester.ensure_session(pump.requester.deadline())
    opcode = command_of(type(message)).opcode
    match pump.session.ask(opcode, encode(message), pump.requester.deadline()):
        case Replied(payload=payload):
            return decode(message.reply_class(), payload)
        case Refused(error=error):
            return error
        case NoReply() as nothing:
            return nothing


def index_of(conversation: Conversation, opcode: Opcode) -> int:
    """Where the first request of an opcode stands."""
    return next(i for i, each in enumerate(conversation.exchanges) if each.opcode == opcode)


def said(path: Path) -> list[tuple[str, int, Any]]:
    """What was said in a recording but for its handshakes: kind of the frame, opcode, and message without what is
    anew in each run."""
    return [
        (entry.frame.kind.name, entry.frame.opcode, _bare(entry.message))
        for entry in read_messages(path)
        if isinstance(entry, RecordedMessage) and isinstance(entry.frame, Frame)
        if entry.frame.kind is not Kind.HANDSHAKE
    ]


def _bare(message: Any) -> Any:
    if isinstance(message, GetInfoReply):
        message = message._replace(kind=DeviceKind.REPLAY, memory_id=0)
    fresh = {Volatile.SESSION: bytes(8)}
    return translated(message, fresh.get)
