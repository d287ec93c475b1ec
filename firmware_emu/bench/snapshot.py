"""A pump as it is at one moment, as a JSON document: with its session open and its bolus running.

Whoever goes on from it goes on as the pump itself would have, to the bit. It holds everything that the pump holds, its
keys and those of its session too: a file of it is for its owner's eyes only.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from firmware_emu.bench.errors import BadConfigurationError
from firmware_emu.state_copy import copy_state
from firmware_emu.state_document import NotAState, from_document, to_document
from firmware_emu.version import VERSION

if TYPE_CHECKING:
    from firmware_emu.bench.pump_host import PumpHost
    from firmware_emu.bench.trace_hash import TraceHash
    from firmware_emu.pump import Pump

SCHEMA: Final = "pumpbench/snapshot"
SCHEMA_VERSION: Final = 1
_TRIAL_MS: Final = 60_000


class Snapshot(NamedTuple):
    """What is kept of a pump on the bench; `trace_hash` is None where none was kept."""

    pump: Pump
    trace_hash: TraceHash | None

    @classmethod
    def of(cls, host: PumpHost) -> Snapshot:
        """A copy, which stays as it is when the pump goes on."""
        return copy_state(cls(host.pump, host.trace_hash))

    def document(self) -> dict[str, Any]:
        """The snapshot as values of JSON."""
        model = self.pump.profile.model
        state = to_document(self)
        return {
            "schema": SCHEMA,
            "version": SCHEMA_VERSION,
            "made_by": VERSION,
            "profile": self.pump.profile.name,
            "serial": model.serial,
            "pump_ms": self.pump.now_ms,
            "sha256": sha256_of(state),
            "state": state,
        }


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
    return snapshot


def _try_out(snapshot: Snapshot) -> None:
    """NotAState where a value of it is one that no pump has: a copy of it is run for a minute."""
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
    return hashlib.sha256(json.dumps(state, separators=(",", ":")).encode()).hexdigest()
