"""Writes the JSON Schema of profile files beside the profiles; `--check` only says whether it is up to date."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from firmware_emu.bench.profile_rules import json_schema

SCHEMA = Path(__file__).resolve().parents[1] / "fixtures" / "profiles" / "profile.schema.json"


def main() -> int:
    """0 where the file is as it should be, or has been written."""
    text = json.dumps(json_schema(), indent=2) + "\n"
    if "--check" in sys.argv[1:]:
        return 0 if SCHEMA.exists() and SCHEMA.read_text() == text else 1
    SCHEMA.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
