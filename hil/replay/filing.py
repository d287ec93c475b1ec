"""The commands of a recording that is played at a real device, on file before they leave [SPEC 9].

A programmer that comes after finds there what was sent, and asks for the outcome of what was not answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hil.errors import OutcomeUnknown
from hil.outcome_store import FiledCommand, OutcomeStore
from hil.programmer.expected_pump import serial_of
from protocol.identifiers import DeviceKind, Opcode, Outcome
from protocol.registry import cmd_crc

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from protocol.link.development_keys import DeviceKey
    from protocol.messages.reading import GetInfoReply


@dataclass(frozen=True, slots=True)
class Filed:
    """A command on file, and where."""

    store: OutcomeStore
    memory_id: int
    command: FiledCommand

    def settle(self, outcome: Outcome | None, delivered_nl: int = 0) -> None:
        """Write down what became of it; None where nobody knows, which stays so."""
        if outcome is not None:
            self.store.settle(self.memory_id, self.command, outcome.name, delivered_nl)


class Filing:
    """The state files of the keys that a recording is played with, each opened when its first command comes."""

    def __init__(self, store_of: Callable[[DeviceKey], OutcomeStore], closing: ExitStack) -> None:
        """`store_of` makes the store of a key, not opened yet; `closing` closes it at its end."""
        self._store_of = store_of
        self._closing = closing
        self._stores: dict[int, OutcomeStore] = {}

    def least_cmd_id(self, key: DeviceKey, info: GetInfoReply, *, while_unknown: bool) -> int:
        """The lowest id that this side has not used yet.

        OutcomeUnknown while an earlier command's is not known, unless this one may be sent then.
        """
        store = self._opened(key)
        store.keep_on_file(info.memory_id, durable=info.kind is not DeviceKind.REPLAY)
        unknown = store.unknown_commands(info.memory_id)
        if unknown and not while_unknown:
            raise OutcomeUnknown(
                f"nothing was sent: what became of {unknown[0].name} is not known, which was sent to this pump before",
                cmd_id=unknown[0].cmd_id,
                advice="run any command of `pumpbench program` against it, and it is asked for first",
            )
        return store.last_cmd_id(info.memory_id) + 1

    def file(self, key: DeviceKey, info: GetInfoReply, opcode: int, message: Any) -> Filed:
        """Write a command down; on the disk when this returns. BadConfiguration where it cannot be written."""
        store = self._opened(key)
        store.name_pump(info.memory_id, serial_of(info))
        volume_nl = getattr(message, "volume_nl", 0)
        command = FiledCommand(message.cmd_id, Opcode(opcode), cmd_crc(opcode, message), volume_nl)
        store.file(info.memory_id, command)
        return Filed(store, info.memory_id, command)

    def _opened(self, key: DeviceKey) -> OutcomeStore:
        if key.key_id not in self._stores:
            self._stores[key.key_id] = self._closing.enter_context(self._store_of(key))
        return self._stores[key.key_id]
