"""The program in the pump, composed: bytes of the link in, bytes out, and what comes due by itself in between.

A request goes one way: link, role, layout, handler, one commit, answer. What each command does stands in `commands`,
what is delivered in `therapy`, what is remembered in `records`. The plant is reached through pins alone.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from firmware_emu.controller.boot import boot
from firmware_emu.controller.commands.device_context import DeviceContext
from firmware_emu.controller.commands.pairing import CARD_OPCODES
from firmware_emu.controller.commands.request_context import Refused, RequestContext
from firmware_emu.controller.commands.table import handler_of, handlers_of
from firmware_emu.controller.events import FrameReceived, FrameSent
from firmware_emu.controller.integrity import Integrity
from firmware_emu.controller.link_host import LinkHost
from firmware_emu.controller.link_log import note_link_event, note_refused
from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.controller.therapy import telemetry_mode
from firmware_emu.controller.timers import Schedule
from firmware_emu.units import MS_PER_HOUR
from protocol.codec.atoms import Malformed
from protocol.codec.layouts import decode, encode, path_offset
from protocol.identifiers import (
    CARD_KEY_ID,
    Capability,
    ConfigId,
    ErrorCode,
    Opcode,
    Role,
    State,
    StateReason,
)
from protocol.link.connection import Direction
from protocol.link.events import Request, SessionClosed, SessionOpened
from protocol.link.pump_end import PumpEnd
from protocol.log.data import RoleDeniedData
from protocol.log.entry import actor_of
from protocol.log.types import LogType, SessionCloseReason, TelemetryExitReason
from protocol.messages.conversation import EventHint
from protocol.messages.errors import ErrorReply, refusal
from protocol.registry import cmd_crc, command_at
from protocol.wire.limits import LinkLimits

if TYPE_CHECKING:
    from firmware_emu.controller.commands.device_context import Refilled
    from firmware_emu.controller.memory.records import Records
    from firmware_emu.controller.therapy.therapy import Therapy
    from firmware_emu.now import TickNow
    from firmware_emu.pins import Pins
    from firmware_emu.profile import Profile
    from protocol.link.events import PumpEvent, SessionInfo

CAPABILITIES = (
    Capability.FLEX
    | Capability.PATIENT_BOLUS
    | Capability.PERIODIC
    | Capability.PRIME_AND_BRIDGE
    | Capability.EVENTS
    | Capability.PAIRING
)
REFUSALS_LOGGED_PER_HOUR = 10  # so that a flood of refusals cannot push out the history of the therapy


class Belief(NamedTuple):
    """What the program in the pump believes, for a rig to hold against the truth. Volumes in nL, ticks in ms."""

    tick_ms: int
    state: State
    reason: StateReason
    rate_nl_per_day: int
    reservoir_calc_nl: int
    delivered_total_nl: int
    strokes_commanded: int
    strokes_seen: int
    bolus_cmd_id: int
    bolus_left_nl: int
    program_rev: int
    alarm_active: int
    alarm_latched: int
    boot_count: int
    last_log_seq: int


class Controller:
    """One run of the program, from a boot until power goes."""

    __slots__ = (
        "answered",
        "device",
        "integrity",
        "link",
        "receiver",
        "records",
        "refusals_logged_ms",
        "schedule",
        "started_blank",
        "therapy",
        "tick_ms",
        "vendors",
    )

    def __init__(self, pins: Pins, profile: Profile, memory_id: int | None = None) -> None:
        """Boot at `tick_ms`; raises PowerCut, and ValueError for an impossible profile.

        `memory_id` is what the memory shall be called from now on: a blank one is named by it instead of by chance, a
        written one is renamed.
        """
        model = profile.model
        booted = boot(pins, profile, memory_id)
        self.therapy: Therapy = booted.therapy
        self.records: Records = self.therapy.records
        self.tick_ms = self.records.tick_ms
        self.therapy.channel.follow(self.therapy.deliveries)
        self.schedule = Schedule(self.therapy, pins.battery, pins.sounder, self.tick_ms)
        self.integrity = Integrity(pins.processor, self.schedule, self.tick_ms)
        self.schedule.commit(self.tick_ms)
        self.records.recovered = False
        self.started_blank = booted.first
        boot_count = self.records.therapy.boot_count
        host = LinkHost(self.records.keys, pins, boot_count, rng_failed=booted.rng_failed)
        self.vendors = profile.vendor_messages
        for vendor in self.vendors:
            handlers_of(vendor)  # what cannot be answered must not be announced
        self.link = PumpEnd(
            host,
            caps=CAPABILITIES | Capability.VENDOR_MESSAGES if self.vendors else CAPABILITIES,
            secured=model.secured,
            limits=LinkLimits(
                gap_ms=model.gap_ms, hello_per_min=model.hello_per_min, hello_per_day=model.hello_per_day
            ),
        )
        self.receiver = pins.receiver
        self.device = DeviceContext(self.records, self.therapy, pins, host, self.link, self.link.statistics)
        self.refusals_logged_ms: deque[int] = deque(maxlen=REFUSALS_LOGGED_PER_HOUR)
        self.answered = b""

    # --- the link -----------------------------------------------------------------------------------------------

    def receive(self, now: TickNow, data: bytes) -> None:
        """Take bytes from the line, or none at a deadline of the link; see `take_answered`. Raises PowerCut."""
        self.therapy.turn_until(now.tick_ms)
        self.link.feed(data, now.line_ms)
        self._run_link(now)

    def receiver_changed(self, tick_ms: int) -> None:
        """Something other than a frame has woken the receiver, or it sleeps again. Raises PowerCut.

        While a session is open a programmer is there, and it is awake anyway.
        """
        self.therapy.turn_until(tick_ms)
        if not self.receiver.awake():
            telemetry_mode.sleep(self.therapy)
        elif self.link.session is None:
            telemetry_mode.wake(self.therapy)
        if self.records.changed:
            self.schedule.commit(tick_ms)

    def take_answered(self) -> bytes:
        """Bytes to send, without what a power cut kept from being committed."""
        answered, self.answered = self.answered, b""
        return answered

    def _run_link(self, now: TickNow) -> None:
        link = self.link
        while (event := link.next_event(now.line_ms)) is not None:
            if link.observing:
                self._trace_frames()
            if type(event) is Request:
                self._answer(event, now)
            else:
                self._note(event)
            self.answered += link.take_output()
        self.answered += link.take_output()
        if self.records.hints.untold:
            self.send_hint(now)
        if link.observing:
            self._trace_frames()

    def deadline_ms(self) -> int | None:
        """The line time at which `receive` must be called even if no byte comes."""
        link_ms, hints = self.link.deadline_ms(), self.records.hints
        if link_ms is None or not hints.untold:
            return link_ms  # a hint needs a session, and a session has a deadline
        hint_ms = hints.due_line_ms()
        return link_ms if hint_ms is None else min(link_ms, hint_ms)

    def send_hint(self, now: TickNow) -> None:
        """Tell the client that something has changed, once it may be told; never between a request and its answer."""
        hints, records = self.records.hints, self.records
        due_ms = hints.due_line_ms()
        if due_ms is None or now.line_ms < due_ms or self.link.session is None:
            return
        hint = EventHint(hints.changed, records.therapy.status_rev, records.log.last_seq)
        self.link.announce(Opcode.EVENT_HINT, encode(hint))
        hints.sent(now.line_ms)
        if self.link.session is None:
            self._run_link(now)  # it was the last frame that the session's counter had room for
        if self.link.observing:
            self._trace_frames()
        self.answered += self.link.take_output()

    def _trace_frames(self) -> None:
        """Frames since the last call; called before a request is answered, so that the trace has them in order."""
        events = self.records.events
        for record in self.link.take_frames():
            if record.direction is Direction.SENT:
                events.append(FrameSent(record.encoded))
            else:
                events.append(FrameReceived(record.encoded, record.fault))

    def _note(self, event: PumpEvent) -> None:
        """Act on an event of the link other than a request, and log it."""
        if isinstance(event, SessionClosed | SessionOpened):
            self.device.forget_session()
        if isinstance(event, SessionClosed) and event.key.role is Role.CLINICIAN:
            self.device.count_requests_anew()
        note_link_event(self.records, event)
        if isinstance(event, SessionOpened):
            telemetry_mode.leave(self.therapy, TelemetryExitReason.INTERROGATED)
            if self.therapy.late.count_session():
                self.therapy.tell_recovery()
        if self.records.changed:
            self.schedule.commit(self.records.tick_ms)

    def _answer(self, request: Request, now: TickNow) -> None:
        """Handle one request and send its answer, after the commit of what it changed."""
        session = self.link.session
        assert session is not None  # noqa: S101 - the link gives no request without one
        answer = self._handled(request, session, now)
        if self.records.changed:
            self.schedule.commit(self.records.tick_ms)
        if type(answer) is ErrorReply:
            self.link.refuse(answer)
        else:
            self.link.respond(encode(answer))

    def _handled(self, received: Request, session: SessionInfo, now: TickNow) -> object:
        handler, command = handler_of(received.opcode, self.vendors), command_at(received.opcode)
        if handler is None or command is None:
            return refusal(ErrorCode.UNSUPPORTED_OP, detail=received.opcode)
        opcode = command.opcode
        key_id, role, slot = session.key_id, session.role, session.slot
        if role not in command.roles and not (key_id == CARD_KEY_ID and opcode in CARD_OPCODES):
            actor = actor_of(key_id, role, slot)
            self.records.enter(LogType.ROLE_DENIED, RoleDeniedData(opcode, key_id), actor=actor)
            return refusal(ErrorCode.ROLE, detail=role)
        try:
            message: object = decode(command.request, received.payload)
        except Malformed as bad:
            return refusal(bad.code, detail=bad.detail, field_offset=bad.field_offset, limit=bad.limit)
        crc = cmd_crc(opcode, message) if command.carries_cmd_id else 0
        request = RequestContext(now, key_id, role, slot, opcode, message, crc)
        try:
            return handler(self.device, request)
        except Refused as refused:
            if command.carries_cmd_id:
                self.records.ledger.note_refusal(key_id, request.cmd_id, opcode, crc, refused.code)
            if command.therapy:
                self._log_refusal(request, refused)
            return refusal(
                refused.code,
                detail=refused.detail,
                field_offset=None if refused.field is None else path_offset(type(message), refused.field),
                limit=refused.limit,
                nearest=refused.nearest,
            )

    def _log_refusal(self, request: RequestContext, refused: Refused) -> None:
        logged_ms, tick_ms = self.refusals_logged_ms, request.now.tick_ms
        if len(logged_ms) < REFUSALS_LOGGED_PER_HOUR or tick_ms - logged_ms[0] >= MS_PER_HOUR:
            logged_ms.append(tick_ms)
            note_refused(self.records, request, refused)

    # --- for the bench ----------------------------------------------------------------------------------------------

    def take_refills(self) -> list[Refilled]:
        """Refills accepted since the last call, which the bench makes true of the reservoir."""
        refills, self.device.refills = self.device.refills, []
        return refills

    def begin_anew_for_clients(self, now: TickNow, memory_id: int) -> None:
        """Be a memory of this name from here on, without a session: the bench has put this state in another's place.

        The caller has turned until now. Raises PowerCut.
        """
        self.link.start_over(SessionCloseReason.RESET)
        self.records.identity.memory_id = memory_id
        self.records.mark_dirty(Region.IDENTITY)
        self._run_link(now)
        if self.records.changed:
            self.schedule.commit(self.records.tick_ms)
        self.answered = b""

    def configured(self) -> dict[str, int | str | bool]:
        """Numbers that CONFIG_WRITE has set, and all other items as they are, by their names."""
        records = self.records
        numbers = {config_id.name: value for config_id, value in sorted(records.settings.numbers.items())}
        texts = {config_id.name: text.decode() for config_id, text in records.texts.texts.items()}
        may_read = records.settings.patient_may_read_therapy
        others = {
            ConfigId.PATIENT_MAY_READ_THERAPY: may_read,
            ConfigId.IMPLANT_WALL_S: records.identity.implant_wall_s,
        }
        return {**numbers, **{config_id.name: value for config_id, value in others.items()}, **texts}

    def belief(self, tick_ms: int) -> Belief:
        """What is believed at `tick_ms`; the caller has turned until then."""
        records, therapy = self.records, self.therapy
        bolus = therapy.deliveries.current
        left = therapy.deliveries.bridge if bolus is None else bolus
        return Belief(
            tick_ms=tick_ms,
            state=records.therapy.state,
            reason=records.therapy.reason,
            rate_nl_per_day=therapy.rate_nl_per_day,
            reservoir_calc_nl=records.reservoir.calc_nl,
            delivered_total_nl=therapy.counters.strokes * therapy.model.stroke_nl,
            strokes_commanded=therapy.counters.commanded,
            strokes_seen=therapy.counters.strokes,
            bolus_cmd_id=0 if bolus is None else bolus.cmd_id,
            bolus_left_nl=0 if left is None else left.left_nl,
            program_rev=records.therapy.program_rev,
            alarm_active=records.alarms.active_mask,
            alarm_latched=records.alarms.latched_mask,
            boot_count=records.therapy.boot_count,
            last_log_seq=records.log.last_seq,
        )
