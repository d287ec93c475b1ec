"""Lock the bytes of every message: a layout that changes by accident fails a test from then on.

    python scripts/lock_messages.py           add what is not locked yet; what is locked never changes
    python scripts/lock_messages.py --check   1 if something is not locked, or no longer holds

A wanted change of a layout is a new protocol version, with a file of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import construct

from protocol import registry
from protocol.codec.atoms import Count, Mapped, Octets, Record, Rows, atom
from protocol.codec.layouts import declaration_of, declared_classes, decode, encode
from protocol.codec.plain_values import plain
from protocol.identifiers import PROTOCOL_VERSION
from protocol.log import entry

MODULES = (registry, entry)  # importing them declares every layout
PATH = Path(__file__).parents[1] / "fixtures" / "locked" / f"messages_v{PROTOCOL_VERSION}.json"
ROWS_IN_A_SAMPLE = 2


class Sampler:
    """Values that are all different, so that no two fields can change places unnoticed."""

    def __init__(self) -> None:
        self.drawn = 0

    def value(self, layout: Any) -> Any:
        """A value for one layout."""
        match layout:
            case Record():
                fields = [part for name, part in layout.parts if name and not isinstance(part, Count)]
                return layout.cls(*[self.value(part) for part in fields])
            case Mapped():
                self.drawn += 1
                values = list(layout.value_of.values())
                return values[self.drawn % len(values)]
            case Octets():
                return self.octets(5)
            case Rows():
                rows = layout.count if isinstance(layout.count, int) else ROWS_IN_A_SAMPLE
                return tuple(self.value(atom(layout.row)) for _ in range(rows))
        if isinstance(layout, construct.Bytes):
            return self.octets(layout.sizeof())
        return int.from_bytes(self.octets(layout.sizeof()), "little")

    def octets(self, number: int) -> bytes:
        """Bytes that count on, below 128 so that they fit signed fields too."""
        first = self.drawn + 1
        self.drawn += number
        return bytes(octet % 127 + 1 for octet in range(first, first + number))


def locked() -> dict[str, Any]:
    """What is locked already."""
    messages: dict[str, Any] = json.loads(PATH.read_text())["messages"] if PATH.exists() else {}
    return messages


def complaints(rows: dict[str, Any]) -> list[str]:
    """What no longer holds, and what is missing."""
    classes = {cls.__name__: cls for cls in declared_classes()}
    found = [f"{name} is not locked" for name in classes if name not in rows]
    for name, row in rows.items():
        if name not in classes:
            found.append(f"{name} is locked and gone")
            continue
        message: object = decode(classes[name], bytes.fromhex(row["hex"]))
        if plain(message) != row["fields"] or encode(message).hex() != row["hex"]:
            found.append(f"{name} has another layout than the locked one")
    return found


def main() -> int:
    """Lock, or check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    rows = locked()
    if not parser.parse_args().check:
        for cls in declared_classes():
            if cls.__name__ not in rows:
                sample = Sampler().value(declaration_of(cls).record)
                rows[cls.__name__] = {"fields": plain(sample), "hex": encode(sample).hex()}
        PATH.parent.mkdir(parents=True, exist_ok=True)
        whole = {"protocol_version": PROTOCOL_VERSION, "messages": dict(sorted(rows.items()))}
        PATH.write_text(json.dumps(whole, indent=1) + "\n")
    found = complaints(rows)
    print("\n".join(found) or f"{len(rows)} messages are locked and hold")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
