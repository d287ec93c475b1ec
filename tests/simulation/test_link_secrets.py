"""No key shows: every key byte string is looked for in all that is written, printed or raised in a whole story.

Attack 8.1. Keys are looked for as bytes, hex, base64, and as Python would show them. The memory of the pump is
the device itself and holds the key of its log's chain; keys of programmers lie there sealed, those of sessions do not.
"""

from __future__ import annotations

import base64
import gc
import traceback
import types
from typing import TYPE_CHECKING, Any

import pytest

from firmware_emu.bench.rig import actions
from firmware_emu.bench.trace_hash import trace_bytes
from hil.errors import PumpbenchError
from hil.noise import Direction
from protocol.codec.atoms import Malformed
from protocol.errors import ProtocolError
from protocol.identifiers import Role
from protocol.link.development_keys import DeviceKey, development_key
from tests.simulation.operators import Operator
from tests.simulation.scenario import SECOND_CLINICIAN, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from firmware_emu.events import TraceEntry

NEW_KEY = DeviceKey(40, Role.PATIENT, b"a key for pairing"[:16], 0, development=False)
REFUSED_KEY = NEW_KEY._replace(key=b"another, refused")  # of the same id
OURS = ("protocol.", "firmware_emu.", "hil.")
NOT_FOLLOWED = (type, types.ModuleType, types.FunctionType, types.MethodType, types.CodeType)


class Spy(World):
    """A world that keeps the trace of every step."""

    def __init__(self) -> None:
        self.trace: list[TraceEntry] = []
        super().__init__(frames_traced=True)

    def check(self) -> None:
        self.trace += self.bench.host.trace
        super().check()


def shapes_of(secret: bytes) -> dict[str, bytes]:
    """What a secret looks like when it leaks."""
    return {
        "bytes": secret,
        "hex": secret.hex().encode(),
        "hex with spaces": secret.hex(" ").encode(),
        "as Python shows it": repr(secret)[2:-1].encode(),
        "base64": base64.b64encode(secret).rstrip(b"="),
    }


def leaks(secrets: dict[str, bytes], texts: dict[str, bytes]) -> list[str]:
    """Which secret shows in which text."""
    return [
        f"{name}, {shape}, in {where}"
        for name, secret in secrets.items()
        for shape, pattern in shapes_of(secret).items()
        for where, text in texts.items()
        if pattern in text or pattern in text.lower()
    ]


def reachable(*roots: object) -> Iterator[object]:
    """Everything of ours that hangs on these objects."""
    seen: set[int] = set()
    left: list[Any] = list(roots)
    while left:
        found = left.pop()
        if id(found) in seen or isinstance(found, NOT_FOLLOWED):
            continue
        seen.add(id(found))
        left += gc.get_referents(found)
        if type(found).__module__.startswith(OURS):
            yield found


def told_story(world: Spy, state_file: Path) -> tuple[Operator, list[BaseException]]:
    """A session with everything in it, and errors of every kind."""
    operator = Operator(world, state_file=state_file)
    errors: list[BaseException] = []

    def note(result: object) -> None:
        if isinstance(result, BaseException):
            errors.append(result)

    note(operator.tries(lambda programmer: programmer.connect()))
    note(operator.gives_bolus(2_000))
    note(operator.tries(lambda programmer: programmer.resume(program_rev=99)))
    stranger = Operator(world, key=SECOND_CLINICIAN._replace(key=b"a guessed secret"))
    note(stranger.tries(lambda programmer: programmer.connect()))
    patient = Operator(world, key=development_key(Role.PATIENT))
    note(patient.tries(lambda programmer: programmer.connect()))
    operator.line.drop(Direction.FROM_PUMP, 100)
    note(operator.gives_bolus(2_000))
    operator.line.clear()
    world.pump.inject("magnet", {})
    note(operator.tries(lambda programmer: programmer.pair(NEW_KEY)))
    note(operator.tries(lambda programmer: programmer.pair(REFUSED_KEY)))
    return operator, errors


def test_no_key_shows_in_anything_that_is_written_printed_or_raised(tmp_path: Path) -> None:
    world = Spy()
    state_file = tmp_path / "state.json"
    operator, errors = told_story(world, state_file)
    assert len(errors) >= 4
    world.advance(61_000)
    operator.programmer.connect()
    controller = world.pump.controller
    assert controller is not None
    assert controller.link._session is not None
    secrets = {f"key {key.key_id}": key.key for key in world.profile.keys} | {"added key": NEW_KEY.key}
    secrets |= {
        "refused key": REFUSED_KEY.key,
        "session key of the pump": controller.link._session.sealing_key,
        "session key of the client": operator.programmer.session._end._keys.sealing,
        "proving key of the client": operator.programmer.session._end._keys.proving,
        "guessed key": b"a guessed secret",
    }
    state = actions.state(world.bench)
    texts = {
        "the trace": trace_bytes(world.trace) + repr(world.trace).encode(),
        "the wire log": operator.wire_log.text(10_000).encode(),
        "the state file": state_file.read_bytes(),
        "rig control's state": repr(state).encode(),
        "the plant's snapshot": repr(world.pump.plant.to_json()).encode(),
        "the memory": b"".join(data for _, data in world.pump.plant.flash.contents()),
        "errors": "\n".join(
            "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error)) for error in errors
        ).encode(),
    }
    assert leaks(secrets, texts) == []
    assert "session key of the pump" in secrets


def test_no_key_shows_in_the_repr_of_anything_that_pump_and_programmer_are_made_of(tmp_path: Path) -> None:
    world = Spy()
    operator, _ = told_story(world, tmp_path / "state.json")
    operator.programmer.connect()
    controller = world.pump.controller
    assert controller is not None
    assert controller.link._session is not None
    secrets = {f"key {key.key_id}": key.key for key in world.profile.keys} | {"added key": NEW_KEY.key}
    secrets["root key"] = world.pump.plant.entropy.root_key()
    secrets["chain key"] = controller.records.identity.chain_key
    secrets["session key"] = controller.link._session.sealing_key
    texts: dict[str, bytes] = {}
    for found in reachable(world.pump, operator.programmer):
        name = f"{type(found).__module__}.{type(found).__qualname__}"
        texts[name] = texts.get(name, b"") + repr(found).encode()
    assert len(texts) > 60
    assert "protocol.link.pump_end._Session" in texts
    assert leaks(secrets, texts) == []


def test_a_leak_would_be_found() -> None:
    secret = {"key": b"devkey:clinician"}
    for text in (repr(secret["key"]), secret["key"].hex(), secret["key"].hex(" ").upper()):
        assert leaks(secret, {"text": text.encode()})
    assert leaks(secret, {"text": base64.b64encode(b"devkey:clinician")})
    assert not leaks(secret, {"text": b"devkey:patient"})


def test_errors_of_every_kind_are_for_people_and_carry_no_bytes_of_a_key() -> None:
    world = World()
    operator = Operator(world, key=development_key(Role.CLINICIAN)._replace(key=b"another key, 16B"))
    with pytest.raises((PumpbenchError, ProtocolError, Malformed)) as caught:
        operator.programmer.connect()
    said = "".join(traceback.format_exception(caught.value))
    assert leaks({"key": b"another key, 16B"}, {"the error": said.encode()}) == []
