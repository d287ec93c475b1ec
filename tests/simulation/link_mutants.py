"""Pumps and programmers with a rule taken out: the test of the tests [SPEC 9].

Each is the real thing but for one rule. A part that has lost a rule is a subclass without state of its own, put
in the place of the real one when the pump has started. Not for use anywhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cobs import cobs

from firmware_emu.controller.commands.device_context import Token
from firmware_emu.controller.controller import Controller
from firmware_emu.controller.memory.ledger import (
    Ledger,
    LedgerEntry,
    Verdict,
)
from firmware_emu.pump import Pump
from hil.programmer.programmer import Programmer
from hil.programmer.recognition import Recognition
from protocol.codec.layouts import decode
from protocol.identifiers import BolusKind, ErrorCode, Opcode
from protocol.link.client_end import ClientEnd
from protocol.link.events import Request
from protocol.link.pump_end import PumpEnd
from protocol.messages.bolus import BolusCommit
from protocol.messages.ledger import CMD_ID_LAST, QueryCmdReply
from protocol.wire.frame import with_crc
from protocol.wire.framing import Deframer, encoded_body
from protocol.wire.limits import CRC_BYTES

if TYPE_CHECKING:
    from protocol.link.connection import Connection
    from protocol.wire.frame import BadFrame, Frame

DELIMITER = b"\x00"


class WithoutToken(Controller):
    """Takes any COMMIT, whether it was prepared or not."""

    __slots__ = ()

    def _handled(self, request: Request, *who: Any) -> object:
        if request.opcode == Opcode.BOLUS_COMMIT:
            wanted = decode(BolusCommit, request.payload)
            self.device.token = Token(
                wanted.token, BolusKind.BOLUS, wanted.volume_nl, wanted.duration_s, 1 << 62
            )
        return super()._handled(request, *who)


class WithoutLedger(Ledger):
    """Knows what became of an id, and lets it act again all the same."""

    __slots__ = ()

    def judge(self, key_id: int, cmd_id: int, cmd_crc: int) -> Verdict:
        verdict = super().judge(key_id, cmd_id, cmd_crc)
        repeats = verdict.error is None or verdict.error is ErrorCode.CMD_ID_OLD
        return Verdict() if repeats else verdict

    def _enter(self, key_id: int, entry: LedgerEntry) -> None:
        of_key = self._keys.get(key_id)
        earlier = None if of_key is None else of_key.find(entry.cmd_id)
        if of_key is not None and earlier is not None:
            of_key.replace(earlier, entry)
        else:
            super()._enter(key_id, entry)


class WithoutCache(PumpEnd):
    """Hands a repeated request to the program instead of repeating the answer."""

    __slots__ = ()

    def _repeat_answer(self, frame: Frame, session: Any) -> None:
        payload = self._unseal(frame, session.sealing_key, 0)
        assert payload is not None
        self._events.append(Request(frame.opcode, payload, frame.ctr))


class IdAfterMotor(Ledger):
    """Stores a bolus when the motor has finished: until then nobody remembers that it was asked for."""

    __slots__ = ()

    def query(self, key_id: int, cmd_id: int) -> QueryCmdReply:
        entry = self.find(key_id, cmd_id)
        if entry is None or not entry.is_open:
            return super().query(key_id, cmd_id)
        return super().query(key_id, CMD_ID_LAST)  # an id that nobody uses: NEVER_RECEIVED

    def open_entries(self) -> tuple[tuple[int, LedgerEntry], ...]:
        return ()  # none was stored; what power interrupts is forgotten

    def pack(self) -> bytes:
        stored = Ledger.unpack(super().pack())
        for of_key in stored._keys.values():
            of_key.entries = [entry for entry in of_key.entries if not entry.is_open]
            of_key.last_id = max([of_key.highest_evicted, *(entry.cmd_id for entry in of_key.entries)])
        return stored.pack()


class CrcBlind(Deframer):
    """Takes every frame as if its CRC were good. Whole frames only: what a faulty line delivers."""

    __slots__ = ()

    def feed(self, data: bytes, line_ms: int) -> list[Frame | BadFrame]:
        return super().feed(DELIMITER.join(_with_good_crc(piece) for piece in data.split(DELIMITER)), line_ms)


def _with_good_crc(encoded: bytes) -> bytes:
    try:
        raw = cobs.decode(encoded)
    except cobs.DecodeError:
        return encoded
    return encoded_body(with_crc(raw[:-CRC_BYTES])) if len(raw) > CRC_BYTES else encoded


def without_rules(*rules: type) -> type[Pump]:
    """A pump in which these parts stand for the real ones."""

    class Mutant(Pump):
        __slots__ = ()

        def _boot(self) -> None:
            super()._boot()
            if self.controller is not None:
                for rule in rules:
                    _replace(self.controller, rule)

    return Mutant


def _replace(controller: Controller, rule: type) -> None:
    if issubclass(rule, Controller):
        controller.__class__ = rule
    elif issubclass(rule, Ledger):
        controller.records.ledger.__class__ = rule
    elif issubclass(rule, PumpEnd):
        controller.link.__class__ = rule
    else:
        blind(controller.link)


def blind(end: Connection) -> None:
    """Make one end of a link ignore the CRC."""
    end._deframer.__class__ = CrcBlind


class CrcBlindProgrammer(Programmer):
    """A programmer that checks no CRC."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        blind(self.session._end)


class WithoutMarks(Recognition):
    """Reads nothing back after an answer."""

    def mark_answer(self, memory_id: int, cmd_id: int, seq: int) -> None:
        pass


class ForgetfulProgrammer(Programmer):
    """A programmer without marks: its last request stays the last, and a late copy of it the newest."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.ledger.recognition.__class__ = WithoutMarks


class WithoutRef(ClientEnd):
    """Takes the next answer to a command of that kind for the answer to the command that it sent."""

    __slots__ = ()

    def _receive_answer(self, frame: Frame) -> None:
        super()._receive_answer(frame._replace(ref=self._ctr & 0xFFFF))
