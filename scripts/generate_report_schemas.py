"""Write the JSON Schemas of `report.json`, `manifest.json` and `campaign.json`, which the package ships for readers.

python scripts/generate_report_schemas.py           write the files
python scripts/generate_report_schemas.py --check   1 if a file is not what it would write
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from hil.campaign.report.documents import CAMPAIGN_FILE_DOCUMENTS
from hil.cli.json_schema import file_schema
from hil.report.documents import FILE_DOCUMENTS

HIL = Path(__file__).parents[1] / "hil"
PLACES = ((HIL / "report", FILE_DOCUMENTS), (HIL / "campaign" / "report", CAMPAIGN_FILE_DOCUMENTS))


def main() -> None:
    """Write, or with --check compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, and change nothing")
    check = parser.parse_args().check
    for place, name, schema, document in ((place, *row) for place, rows in PLACES for row in rows):
        path = place / name
        wanted = json.dumps(file_schema(document, **schema), indent=2) + "\n"
        if not check:
            path.write_text(wanted, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != wanted:
            raise SystemExit(f"{name} is out of date; run scripts/generate_report_schemas.py")


if __name__ == "__main__":
    main()
