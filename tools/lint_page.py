"""Checks the scripts of the page of `graph --format html` with oxlint.

    python tools/lint_page.py oxlint

The page puts its scripts together in one function, where they share their names. They are checked
like this too. The rules are in `tools/oxlint.json`. Exits with 1 if oxlint finds something.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from spiff_element_units.cli._page import SCRIPTS

FOLDER = Path(str(files("spiff_element_units.cli").joinpath("page")))
CONFIG = Path(__file__).with_name("oxlint.json")


def main(oxlint: str) -> int:
    lines = ["(async () => {"]
    places = ["page.html"]  # of each line
    for name in SCRIPTS:
        here = FOLDER.joinpath(name).read_text(encoding="utf-8").splitlines()
        lines += here
        places += [f"{name}:{number}" for number in range(1, len(here) + 1)]
    text = "\n".join([*lines, "})();", ""])
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "page.js")
        script.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [oxlint, "--config", CONFIG, "--format", "json", script],
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
    found = json.loads(done.stdout)["diagnostics"]
    for one in found:
        at = one["labels"][0]["span"]["line"] - 1 if one["labels"] else 0
        place = places[min(at, len(places) - 1)]
        print(f"{FOLDER / place}: {one['message']} [{one.get('code', 'syntax')}]")
    return 1 if found or done.returncode else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
