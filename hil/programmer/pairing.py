"""Adding, revoking and listing the keys of a pump's programmers: what needs a magnet over the pump and its window.

The window dies with the session, and a wrapped key is good for one request alone; so a pairing that was not answered
is begun anew from the window. The pump takes the same key twice as once [SPEC 11].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from hil.errors import DeviceError, LinkError
from protocol.messages.keys import KeyAdd, KeyList, KeyRevoke, PairingOpen, sealed_with

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.command_ledger import CommandLedger
    from hil.programmer.requester import Requester
    from protocol.link.development_keys import DeviceKey
    from protocol.messages.command import Request
    from protocol.messages.keys import KeyRow

Reply = TypeVar("Reply")
TRIES: Final = 3


class Pairing:
    """One programmer's way to the keys of a pump."""

    def __init__(self, requester: Requester, ledger: CommandLedger) -> None:
        self._requester = requester
        self._ledger = ledger

    def paired_keys(self) -> tuple[KeyRow, ...]:
        """Who is paired, without the keys. DeviceRefused PAIRING_CLOSED without a magnet over the pump."""
        return self._in_window(KeyList).keys

    def pair(self, key: DeviceKey) -> None:
        """Pair a key. DeviceRefused where the pump does not take it, or has no magnet over it."""
        associated = sealed_with(key.key_id, key.role)

        def wrapped() -> KeyAdd:
            return KeyAdd(key.key_id, key.role, self._requester.session.wrap_key(associated, key.key))

        self._in_window(wrapped)

    def revoke(self, key_id: int) -> None:
        """Forget a key; one that is not paired is forgotten already. Errors as those of `pair`."""
        self._in_window(lambda: KeyRevoke(key_id))

    def _in_window(self, question: Callable[[], Request[Reply]]) -> Reply:
        """Open the window and ask in its session; both again where the session died in between."""
        deadline = self._requester.deadline()
        unanswered = False

        def attempt() -> Reply:
            nonlocal unanswered
            opened = self._ledger.request(PairingOpen(), deadline)
            if opened.opens_in_s:
                raise DeviceError(
                    f"the pump waits {opened.opens_in_s} s more before the implant card may change its keys",
                    advice="hold the magnet over the pump and ask again then; nothing was changed",
                )
            try:
                return self._requester.request_once(question(), deadline)
            except LinkError:
                unanswered = True
                raise

        try:
            return self._requester.again(attempt, TRIES, LinkError, deadline)
        except DeviceError as error:
            if not unanswered:
                raise
            raise LinkError(
                f"whether the keys were changed is not known: no answer came, and then {error.message}",
                advice="`pumpbench program keys list` says who is paired",
            ) from error
