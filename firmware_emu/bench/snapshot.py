"""A pump as it is at one moment, as a JSON document: with its session open and its bolus running.

Whoever goes on from it goes on as the pump itself would have, to the bit. It holds everything that the pump holds, its
keys and those of its session too: a file of it is for its owner's eyes only.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from firmware_emu.bench.errors import BadConfigurationError
from firmware_emu.state_copy import copy_state
from firmware_emu.state_document import NotAState, from_document, to_document
from firmware_emu.version import VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from firmware_emu.bench.pump_host import PumpHost
    from firmware_emu.bench.trace_hash import TraceHash
    from firmware_emu.pump import Pump

SCHEMA: Final = "pumpbench/snapshot"
SCHEMA_VERSION: Final = 1
FILE_MAX_BYTES: Final = 1 << 23
NOW_MAX_MS: Final = (1 << 53) - 1
_TRIAL_MS: Final = 60_000


class Snapshot(NamedTuple):
    """What is kept of a pump on the bench; `trace_hash` is None where none was kept."""

    pump: Pump
    trace_hash: TraceHash | None

    @classmethod
    def of(cls, host: PumpHost) -> Snapshot:
        """A copy, which stays as it is when the pump goes on; whoever waited for a stroke does not wait in it."""
        copied = copy_state(cls(host.pump, host.trace_hash))
        copied.pump.every_stroke = False
        return copied

    def document(self, name: str = "") -> dict[str, Any]:
        """The snapshot as values of JSON, under a name that people have given it."""
        state = to_document(self)
        return {**self._head(name), "sha256": sha256_of(state), "state": state}

    def text(self, name: str = "") -> str:
        """The document as compact JSON."""
        state = _compact(to_document(self))
        head = json.dumps({**self._head(name), "sha256": _sha256(state)}, separators=(",", ":"))
        return f'{head[:-1]},"state":{state}}}'

    def _head(self, name: str) -> dict[str, Any]:
        return {"schema": SCHEMA, "version": SCHEMA_VERSION, "made_by": VERSION, "name": name, **self.told()}

    def told(self) -> dict[str, Any]:
        """What is told of its pump without looking into it."""
        model = self.pump.profile.model
        return {"profile": self.pump.profile.name, "serial": model.serial, "pump_ms": self.pump.now_ms}


def read_snapshot(document: object) -> Snapshot:
    """The snapshot in a document; BadConfigurationError says what is wrong with one that is none."""
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise BadConfigurationError(f'the snapshot is no document of the schema "{SCHEMA}"')
    if document.get("version") != SCHEMA_VERSION:
        made_by = str(document.get("made_by"))[:40]
        raise BadConfigurationError(
            f"the snapshot has version {document.get('version')!r}, made by pumpbench {made_by}; this is {VERSION}, "
            f"which reads version {SCHEMA_VERSION}"
        )
    state = document.get("state")
    if not isinstance(state, dict) or document.get("sha256") != sha256_of(state):
        raise BadConfigurationError("the snapshot is damaged: it is not what its sha256 was made of")
    try:
        snapshot = from_document(state, Snapshot)
        _try_out(snapshot)
    except NotAState as error:
        raise BadConfigurationError(f"the snapshot {error}") from error
    for key, held in snapshot.told().items():
        if document.get(key) != held:
            raise BadConfigurationError(
                f"the snapshot says that its {key} is {document.get(key)!r:.40}, and holds a pump of {held!r:.40}"
            )
    return snapshot


def read_snapshot_file(path: Path) -> Snapshot:
    """The snapshot in a file; BadConfigurationError names the file and says what is wrong with it."""
    try:
        with path.open("rb") as file:
            text = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise BadConfigurationError(f"the snapshot {path} cannot be read: {error.strerror}") from error
    if len(text) > FILE_MAX_BYTES:
        raise BadConfigurationError(f"{path} is no snapshot: it has more than {FILE_MAX_BYTES} bytes")
    try:
        return read_snapshot(json.loads(text))
    except BadConfigurationError as error:
        raise BadConfigurationError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise BadConfigurationError(f"{path} is no snapshot: it is no JSON") from error


def write_snapshot_file(path: Path, text: str) -> None:
    """A new file, for nobody else's eyes; OSError where there is one already, or none can be made."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode())


def _try_out(snapshot: Snapshot) -> None:
    """NotAState where a value of it is one that no pump has: a copy of it is run for a minute."""
    now = snapshot.pump.now
    pump_ms, line_ms = now if isinstance(now, tuple) and len(now) == 2 else (None, None)
    if not (type(pump_ms) is type(line_ms) is int and 0 <= line_ms <= pump_ms <= NOW_MAX_MS):
        raise NotAState(f"holds a pump at a time that none lives to see: {now!r:.80}")
    try:
        pump = snapshot.pump.fork()
        pump.plant.check(pump.now_ms)
        pump.step(pump.now.later(_TRIAL_MS))
        if snapshot.trace_hash is not None:
            snapshot.trace_hash.hexdigest()
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise NotAState(f"holds a pump that cannot run ({type(error).__name__}: {error})") from error


def sha256_of(state: dict[str, Any]) -> str:
    """The hash of a state as compact JSON, by which damage is seen; who forges one can forge it too."""
    return _sha256(_compact(state))


def _compact(state: dict[str, Any]) -> str:
    return json.dumps(state, separators=(",", ":"))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
