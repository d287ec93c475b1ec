"""Text of tests and devices as HTML: it says what they said, and does nothing."""

from __future__ import annotations

from html import escape
from typing import Final

LONGEST_TEXT: Final = 20_000


def page_text(text: str) -> str:
    """Escaped, with a code for each character that a page may not hold or that would turn the text around."""
    safe = text
    if not text.isprintable():
        safe = "".join(
            c if c.isprintable() or c in "\n\t" else c.encode("unicode-escape").decode("ascii") for c in text
        )
    if len(safe) > LONGEST_TEXT:
        safe = f"{safe[:LONGEST_TEXT]} [cut: {len(safe)} characters]"
    return escape(safe)
