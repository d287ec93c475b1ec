"""Write the JSON Schema of program files, which the package ships for editors, from their declaration.

python scripts/generate_program_schema.py           write the file
python scripts/generate_program_schema.py --check   1 if the file is not what it would write
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hil.programs.schema import program_schema_page

SCHEMA = Path(__file__).parents[1] / "hil" / "programs" / "program.schema.json"


def main() -> None:
    """Write, or with --check compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, and change nothing")
    wanted = program_schema_page() + "\n"
    if not parser.parse_args().check:
        SCHEMA.write_text(wanted, encoding="utf-8")
    elif not SCHEMA.exists() or SCHEMA.read_text(encoding="utf-8") != wanted:
        raise SystemExit(f"{SCHEMA.name} is out of date; run scripts/generate_program_schema.py")


if __name__ == "__main__":
    main()
