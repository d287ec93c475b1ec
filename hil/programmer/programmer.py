"""The programmer: what a clinician's device does with a pump, blocking, one method a command.

Open it with `with`: it takes its state file's lock, opens a session, and finds out what became of any command
that an earlier programmer left unresolved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from hil.errors import OutcomeUnknown
from hil.outcome_store import OutcomeStore
from hil.programmer.client_session import ClientSession
from hil.programmer.entropy import SystemEntropy
from hil.programmer.requester import PATIENCE_MS
from hil.programmer.therapy import Therapy
from hil.wire_log import WireLog
from protocol.identifiers import Role
from protocol.link.development_keys import development_key

if TYPE_CHECKING:
    from hil.channel import Channel
    from hil.programmer.entropy import Entropy
    from protocol.link.development_keys import DeviceKey


class Programmer(Therapy):
    """One programmer, one key, one channel, at most one session. The channel stays its owner's to close."""

    def __init__(
        self,
        channel: Channel,
        *,
        key: DeviceKey | None = None,
        store: OutcomeStore | None = None,
        entropy: Entropy | None = None,
        secured: bool = True,
        patience_ms: int = PATIENCE_MS,
        wire_log: WireLog | None = None,
    ) -> None:
        key = key or development_key(Role.CLINICIAN)
        session = ClientSession(
            channel,
            key,
            entropy or SystemEntropy(),
            secured=secured,
            wire_log=WireLog() if wire_log is None else wire_log,
        )
        super().__init__(session, key, OutcomeStore() if store is None else store, patience_ms=patience_ms)

    def connect(self) -> None:
        """Open the store and a session, look whether the memory is what it was, and resolve what is open.

        As far as that can be done: what cannot be stands in `notices`, and reading is allowed all the same.
        """
        self.store.open()
        deadline = self._deadline()
        self._ensure_session(deadline)
        if self.may_command and not self.store.is_empty():
            self._know(deadline)  # who only reads must hear of a lost memory too
            try:
                self.resolve(deadline)
            except OutcomeUnknown as error:
                self.notices.append(str(error))

    def close(self) -> None:
        """End the session and give the state file back."""
        try:
            self.end_session()
        finally:
            self.store.close()

    def __enter__(self) -> Self:
        try:
            self.connect()
        except BaseException:
            self.store.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
