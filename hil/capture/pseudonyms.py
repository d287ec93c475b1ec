"""What stands in a recording that is safe to share in place of who was there: for the same, the same, all through."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from protocol.codec.identities import Identity
from protocol.identifiers import CARD_KEY_ID, ConfigId
from protocol.messages.ledger import OWN_KEY
from protocol.wire.limits import SESSION_MARK_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

REDACTED: Final = "redacted"
LEFT_OUT: Final = "(redacted)"
FIRST_KEY_ID: Final = 1_001
FIRST_MEMORY_ID: Final = int.from_bytes(b"REDACTED", "big") - int.from_bytes(b"TED", "big")
TEXTS: Final = {
    ConfigId.PATIENT_ID: "patient",
    ConfigId.NOTES: "notes",
    ConfigId.DRUG_NAME: "drug",
    ConfigId.CATHETER_MODEL: "catheter",
}
"""The items of the configuration that are text, and what their pseudonyms are called."""
_NONCE: Final = b"NONCE"
_LONG_HEX: Final = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{2} ?){8,}(?![0-9A-Za-z])")
_SHORTEST_IN_TEXT: Final = 2
"""A name of one character would be found everywhere in a text."""


class Pseudonyms:
    """Gives out pseudonyms in the order in which they are asked for."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """`names` are replaced wherever they stand in a text, besides those that messages hold."""
        self._given: dict[tuple[Identity, Any], Any] = {}
        self._counts: dict[str, int] = {}
        self._in_texts: dict[str, str] = {}
        self._finds: re.Pattern[str] | None = None
        for name in names:
            self.name(name, "name")

    @property
    def counts(self) -> dict[str, int]:
        """How many of each kind there are, by its word."""
        return dict(self._counts)

    def of(self, identity: Identity, value: Any) -> Any:
        """The pseudonym of a field; what says nothing (0, one's own, empty) stays. Of texts see `name`."""
        match identity:
            case Identity.KEY_ID if value in (CARD_KEY_ID, OWN_KEY):
                return value
            case Identity.PROOF:
                return bytes(len(value))
            case Identity.NONCE | Identity.HANDLE:
                return self._nonce(value)
            case Identity.NAME:
                return self.name(value, "name") if isinstance(value, str) else self.text(value, "name")
        known = self._given.get((identity, value))
        if known is None:
            known = self._given[identity, value] = self._new(identity, value)
        return known

    def text(self, value: bytes, word: str) -> bytes:
        """The pseudonym of a text in UTF-8."""
        return self.name(value.decode("utf-8", "backslashreplace"), word).encode()

    def name(self, name: str, word: str) -> str:
        """The pseudonym of a text: `word` and a number, unless the same text has one already."""
        if not name.strip("\0 "):
            return name
        known = self._given.get((Identity.NAME, name))
        if known is None:
            known = self._given[Identity.NAME, name] = f"{word}-{self._number(word)}"
            self._remember(name, known)
        return str(known)

    def knows_nonce(self, value: bytes) -> bool:
        """Whether this begins as a nonce that was replaced before."""
        return (Identity.NONCE, value[:SESSION_MARK_BYTES]) in self._given

    def in_text(self, text: str) -> str:
        """A text for people, with every name in it that is known by now replaced, and long hex numbers left out."""
        if self._finds is None:
            longest_first = sorted(self._in_texts, key=len, reverse=True)
            self._finds = re.compile("|".join(map(re.escape, longest_first)) or "(?!)", re.IGNORECASE)
        replaced = self._finds.sub(self._in_place_of, text)
        return _LONG_HEX.sub(lambda found: f"({len(found[0].replace(' ', '')) // 2} bytes)", replaced)

    def _in_place_of(self, found: re.Match[str]) -> str:
        """The pseudonym of what was found, which may be in mixed case."""
        cases = (found[0], found[0].lower(), found[0].upper())
        return next((self._in_texts[case] for case in cases if case in self._in_texts), LEFT_OUT)

    def _new(self, identity: Identity, value: Any) -> Any:
        if identity is Identity.SERIAL:
            bare = value.rstrip(b"\0")
            if not bare:
                return value
            shown = f"REDACTED{self._number(identity.value):04}"[-len(value) :]
            self._remember(bare.decode("utf-8", "backslashreplace"), shown)
            return shown.encode().ljust(len(value), b"\0")
        number = self._number(identity.value) if value else 0
        if not value:
            return value
        if identity is Identity.MEMORY:
            pseudonym = FIRST_MEMORY_ID + number
            for form in ("{:016x}", "{:d}"):
                self._remember(form.format(value), form.format(pseudonym))
            return pseudonym
        return FIRST_KEY_ID + number - 1

    def _nonce(self, value: bytes) -> bytes:
        """By its beginning, which the log has of it."""
        if not any(value):
            return value
        start = value[:SESSION_MARK_BYTES]
        known = self._given.get((Identity.NONCE, start))
        if known is None:
            number = self._number(Identity.NONCE.value)
            known = _NONCE + number.to_bytes(SESSION_MARK_BYTES - len(_NONCE), "big")
            self._given[Identity.NONCE, start] = known
        return bytes(known.ljust(len(value), b"\0")[: len(value)])

    def _number(self, word: str) -> int:
        self._counts[word] = self._counts.get(word, 0) + 1
        return self._counts[word]

    def _remember(self, text: str, pseudonym: str) -> None:
        """Replace this in texts too, in either case and composition, and where it stands there in hex."""
        if len(text) < _SHORTEST_IN_TEXT:
            return
        for composed in (unicodedata.normalize(form, text) for form in ("NFC", "NFD")):
            raw = composed.encode("utf-8", "backslashreplace")
            for form in (composed, composed.lower(), composed.upper(), raw.hex(), raw.hex(" ")):
                self._in_texts[form] = pseudonym
        self._finds = None
