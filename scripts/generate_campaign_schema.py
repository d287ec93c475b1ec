"""Write the JSON Schema of plans of campaigns, which the package ships for editors, from the declaration of their keys.

python scripts/generate_campaign_schema.py           write the file
python scripts/generate_campaign_schema.py --check   1 if the file is not what it would write
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from hil.campaign.plan import plan_schema

SCHEMA = Path(__file__).parents[1] / "hil" / "campaign" / "plan.schema.json"


def main() -> None:
    """Write, or with --check compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, and change nothing")
    wanted = json.dumps(plan_schema(), indent=2) + "\n"
    if not parser.parse_args().check:
        SCHEMA.write_text(wanted, encoding="utf-8")
    elif not SCHEMA.exists() or SCHEMA.read_text(encoding="utf-8") != wanted:
        raise SystemExit(f"{SCHEMA.name} is out of date; run scripts/generate_campaign_schema.py")


if __name__ == "__main__":
    main()
