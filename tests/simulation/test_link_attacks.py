"""Attacks and mishaps against a whole pump: floods, a stop in the worst moment, changed clocks, stuck chance.

What a single rule of the link or a single answer promises is held elsewhere; here a pump at work is under it,
and its therapy, log and memory must not notice.
"""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from hil.errors import CommandRefused, DeviceRefused, LinkError, SessionRefused
from hil.programmer.command_ledger import Executed
from hil.programmer.entropy import SeededEntropy
from protocol.codec.layouts import encode
from protocol.identifiers import AlarmId, ErrorCode, Handshake, Kind, OnExpiry, Opcode, Role, State, Suite
from protocol.link.client_end import ClientEnd, Phase
from protocol.link.development_keys import development_key
from protocol.log.types import LogName, LogType
from protocol.messages.handshake import ClientHello
from protocol.wire.frame import SECURED, pack_header, with_crc
from protocol.wire.framing import encode_frame
from tests.simulation.link_checkers import check_everything, read_facts, settle
from tests.simulation.operators import Operator
from tests.simulation.scenario import World, simulated_profile

MS_PER_S = 1_000
MS_PER_HOUR = 3_600_000
MS_PER_DAY = 24 * MS_PER_HOUR
BASAL_NL_PER_DAY = 600_000
CONTROLLER_GROWTH_BYTES = 6_000  # pickled: budget and back-off tables at their fullest, and some numbers grow


def hello_frame(number: int, key_id: int = 3) -> bytes:
    """A CLIENT_HELLO of somebody who will never prove anything."""
    nonce = number.to_bytes(16, "little")
    hello = ClientHello(1, 1, int(Suite.AES_128_CCM_8), Role.CLINICIAN, key_id, nonce)
    return _plain(Kind.HANDSHAKE, Handshake.CLIENT_HELLO, 0, 0, encode(hello))


def forged_request(number: int, sid: int) -> bytes:
    """A request with a good CRC and a tag that nobody's key made."""
    header = pack_header(Kind.REQUEST, SECURED, Opcode.BOLUS_COMMIT, 20, sid, number, 0)
    return encode_frame(with_crc(header + bytes(20) + number.to_bytes(8, "little")))


def _plain(kind: Kind, opcode: int, sid: int, ctr: int, payload: bytes) -> bytes:
    return encode_frame(with_crc(pack_header(kind, 0, opcode, len(payload), sid, ctr, 0) + payload))


def answers_to(world: World, frame: bytes) -> int:
    """How many frames the pump sends for one."""
    sent = world.bench.feed(frame)
    world.check()
    return sum(1 for piece in sent.split(b"\x00") if piece)


def controller_bytes(world: World) -> int:
    """What the program in the pump holds in RAM, as a value."""
    return len(pickle.dumps(world.pump.controller))


def basal_nl(world: World) -> int:
    """Truth: what went out beside the boluses."""
    boluses = sum(world.rotor.turned_by_duration_ms.values())
    return (world.rotor.strokes_turned - boluses) * world.rotor.stroke_nl


def basal_due_nl(ms: int) -> int:
    return BASAL_NL_PER_DAY * ms // MS_PER_DAY // 500 * 500


# Floods: attacks 3.5, 3.6, 5.3, 6.1


def test_an_hour_of_hellos_costs_no_more_answers_than_announced_and_no_therapy() -> None:
    world = World(
        profile=replace(simulated_profile(), model=replace(simulated_profile().model, hello_per_min=10))
    )
    operator = Operator(world)
    operator.programmer.connect()
    before = controller_bytes(world)
    answered = 0
    for second in range(3_600):
        answered += answers_to(world, hello_frame(second))
        world.advance(MS_PER_S)
        if second % 60 == 0:
            operator.programmer.ping()
    assert 100 < answered <= 600
    assert basal_nl(world) == basal_due_nl(world.now_ms)
    assert controller_bytes(world) - before < CONTROLLER_GROWTH_BYTES
    world.advance(61 * MS_PER_S)
    security = operator.programmer.read_log(LogName.SECURITY)
    assert [entry.type for entry in security.entries].count(LogType.HS_LIMITED) == 1
    check_everything(world, [operator])


def test_guessed_proofs_stay_out_of_the_main_log_and_a_clinician_on_another_key_gets_in() -> None:
    world = World()
    guesser = Operator(world, key=development_key(Role.SERVICE)._replace(key=b"a guess, 16 byte"))
    for _ in range(250):
        assert isinstance(guesser.tries(lambda programmer: programmer.connect()), SessionRefused | LinkError)
        world.advance(4 * MS_PER_S)
    clinician = Operator(world)
    clinician.programmer.connect()
    main = clinician.programmer.read_log(LogName.MAIN)
    assert main.first_seq == 1
    assert main.complete
    assert LogType.HS_FAIL not in {entry.type for entry in main.entries}
    check_everything(world, [clinician])


def test_a_flood_of_refusals_does_not_push_out_the_history_of_the_therapy() -> None:
    world = World(
        profile=replace(simulated_profile(), model=replace(simulated_profile().model, log_capacity=200))
    )
    operator = Operator(world)
    first = read_facts(world).entries
    for number in range(600):
        refused = operator.tries(lambda programmer: programmer.resume(program_rev=77))
        assert isinstance(refused, CommandRefused)
        if number % 3 == 0:
            operator.tries(lambda programmer: programmer.prepare_bolus(1, 60))
        world.advance(MS_PER_S)
    patient = Operator(world, key=development_key(Role.PATIENT))
    for _ in range(300):
        denied = patient.tries(lambda programmer: programmer.prepare_bolus(2_000, 60, program_rev=1))
        assert isinstance(denied, DeviceRefused)
        assert denied.code == ErrorCode.ROLE
    patient.programmer.close()
    world.advance(11 * MS_PER_S)
    facts = settle(world, [operator])
    assert facts.entries[: len(first)] == first
    assert [entry.type for entry in facts.entries].count(LogType.CMD_REFUSED) <= 20


@pytest.mark.parametrize(
    "trouble", ["flood", "alarm", "staged program", "bolus", "stopped", "stalled motor", "low battery"]
)
def test_a_stop_acts_whatever_else_goes_on(trouble: str) -> None:
    world = World()
    operator = Operator(world)
    operator.programmer.connect()
    match trouble:
        case "flood":
            for number in range(500):
                world.put(hello_frame(number) + forged_request(number, 1))
        case "alarm":
            world.pump.cut_power()
            world.pump.restore_power()
        case "staged program":
            operator.programmer.stage_simple_program(310_000)
        case "low battery":
            world.pump.plant.battery.used_before_nc = world.pump.plant.battery.capacity_nc * 97 // 100
            world.advance(MS_PER_DAY)
        case "bolus":
            operator.gives_bolus(2_000)
        case "stopped":
            operator.programmer.stop()
        case "stalled motor":
            world.pump.stall_motor(True)
            world.advance(MS_PER_HOUR)
    began_ms = world.now_ms
    stopped = operator.programmer.stop()
    assert isinstance(stopped, Executed)
    assert stopped.reply.state is State.STOP
    assert world.now_ms - began_ms <= 300
    turned = world.rotor.strokes_turned
    world.advance(MS_PER_HOUR)
    assert world.rotor.strokes_turned == turned


# A link that dies in mid-frame and comes back, again and again: attack 5.10


def test_a_link_that_dies_each_second_for_an_hour_moves_no_stroke_of_a_bolus_or_of_the_basal_rate() -> None:
    turned = []
    for dying in (False, True):
        world = World()
        operator = Operator(world)
        operator.programmer.connect()
        operator.gives_bolus(20_000)
        for second in range(3_600):
            if dying:
                frame = hello_frame(second)
                world.put(frame[: second % len(frame)])
            world.advance(MS_PER_S)
        turned.append((world.rotor.strokes_turned, dict(world.rotor.turned_by_duration_ms)))
        check_everything(world, [operator])
    quiet, disturbed = turned
    assert disturbed == quiet


# Stops that are forgotten: attack 5.4


@pytest.mark.parametrize(
    ("on_expiry", "state", "rate_nl_per_day"),
    [
        (OnExpiry.ALARM_ONLY, State.STOP, 0),
        (OnExpiry.SAFE_RATE, State.SAFE_STATE, 6_000),
        (OnExpiry.RESUME, State.RUN, BASAL_NL_PER_DAY),
    ],
)
def test_a_stop_whose_programmer_never_comes_back_ends_as_it_was_told(
    on_expiry: OnExpiry, state: State, rate_nl_per_day: int
) -> None:
    world = World()
    operator = Operator(world)
    operator.programmer.connect()
    operator.programmer.stop(3_600, on_expiry=on_expiry)
    stopped_at_ms = world.now_ms
    turned = world.rotor.strokes_turned
    world.advance(stopped_at_ms + MS_PER_HOUR - 1 - world.now_ms)
    assert world.rotor.strokes_turned == turned
    world.advance(1)
    status = operator.programmer.status()
    assert (status.state, status.rate_nl_per_day) == (state, rate_nl_per_day)
    assert status.alarm_latched & 1 << AlarmId.STOP_EXPIRED
    world.advance(MS_PER_DAY)
    delivered_nl = (world.rotor.strokes_turned - turned) * world.rotor.stroke_nl
    assert delivered_nl == rate_nl_per_day
    check_everything(world, [operator])


# Limits that somebody tries to get around: attacks 5.5, 7.1, 7.2


def test_new_ids_reboots_and_clock_changes_do_not_widen_the_hour() -> None:
    profile = simulated_profile()
    world = World(profile=replace(profile, model=replace(profile.model, hour_max_nl=5_000)))
    operator = Operator(world)
    for _ in range(2):
        assert isinstance(operator.gives_bolus(2_000), Executed)
        world.advance(20 * MS_PER_S)
    for trick in ("id", "reboot", "clock", "zone", "program"):
        match trick:
            case "reboot":
                world.pump.cut_power()
                world.pump.restore_power()
                operator.programmer.acknowledge_alarm(
                    AlarmId.RESET
                )  # critical: it would refuse the bolus itself
            case "clock":
                now_s = operator.programmer.status().wall_s
                operator.programmer.set_time(now_s + 10 * 86_400, 0, confirm=True)
            case "zone":
                now_s = operator.programmer.status().wall_s
                operator.programmer.set_time(now_s, 840, confirm=True)
            case "program":
                operator.programmer.set_simple_program(310_000)
        refused = operator.gives_bolus(2_000)
        assert isinstance(refused, DeviceRefused), trick
        assert refused.code == ErrorCode.HOUR_MAX, trick
    world.advance(MS_PER_HOUR)
    assert isinstance(operator.gives_bolus(2_000), Executed)
    check_everything(world, [operator])


CLOCKS = {
    "an hour forward": (3_600, 0),
    "an hour back": (-3_600, 0),
    "a day forward": (86_400, 0),
    "a day back": (-86_400, 0),
    "summer time": (0, 60),
    "winter time": (0, -60),
    "the year 2000": (None, 0),
    "the year 2136": (0xFFFF_FF00, 0),
}


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_changed_clock_in_mid_bolus_moves_no_stroke(clock: str) -> None:
    shift_s, tz_minutes = CLOCKS[clock]
    world = World()
    operator = Operator(world)
    operator.gives_bolus(2_000)
    world.advance(5_001)
    status = operator.programmer.status()
    wall_s = 0 if shift_s is None else shift_s if shift_s > 10**9 else status.wall_s + shift_s
    result = operator.programmer.set_time(wall_s, tz_minutes, confirm=True)
    world.advance(4_998)
    assert world.true_nl(world.attempts[0]) == 1_500
    world.advance(1)
    assert world.true_nl(world.attempts[0]) == 2_000
    world.advance(MS_PER_DAY - world.now_ms)
    assert basal_nl(world) == basal_due_nl(MS_PER_DAY)
    facts = settle(world, [operator])
    (entry,) = [e for e in facts.entries if (e.type, e.cmd_id) == (LogType.TIME_SET, result.cmd_id)]
    details = entry.details()
    assert (details.new_wall_s, details.new_tz_minutes) == (wall_s, tz_minutes)
    assert details.old_wall_s == status.wall_s


# A random source that is stuck: attack 3.13


def test_with_a_stuck_random_source_no_session_opens_and_therapy_goes_on() -> None:
    world = World()
    world.pump.plant.entropy.stuck = True
    world.pump.cut_power()
    world.pump.restore_power()
    operator = Operator(world)
    refused = operator.tries(lambda programmer: programmer.connect())
    assert isinstance(refused, SessionRefused)
    belief = world.pump.belief()
    assert belief is not None
    assert belief.alarm_active & 1 << AlarmId.RNG_FAILED
    before_nl, before_ms = basal_nl(world), world.now_ms
    world.advance(MS_PER_DAY)
    assert basal_nl(world) - before_nl == BASAL_NL_PER_DAY
    world.pump.plant.entropy.stuck = False
    world.pump.cut_power()
    world.pump.restore_power()
    world.advance(0)
    operator.replace_programmer()
    operator.programmer.connect()
    assert world.now_ms >= before_ms


# The open profile has no enemy, but it has a past


def test_a_late_greeting_of_an_earlier_handshake_is_not_taken_under_the_open_profile() -> None:
    world = World(profile=simulated_profile(secured=False))
    key = development_key(Role.CLINICIAN)
    earlier = ClientEnd(key=key, entropy=SeededEntropy(1), secured=False)
    earlier.open(0)
    greeting = world.bench.feed(earlier.take_output())
    later = ClientEnd(key=key, entropy=SeededEntropy(2), secured=False)
    later.open(0)
    later.feed(greeting, 0)
    assert later.next_event(0) is None
    assert later.phase is Phase.HELLO_SENT
    earlier.feed(greeting, 0)
    assert earlier.next_event(0) is None
    assert earlier.phase is Phase.PROOF_SENT
