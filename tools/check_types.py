"""Check that a type checker knows the type of everything public: `check_types.py`.

The public names are in `__all__` of the package, of `spiff` and of `sql`. Their attributes and
methods are public too, and the classes in their types. pyright's own report counts every module as
public.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import spiff_element_units
import spiff_element_units.spiff
import spiff_element_units.sql


def public() -> set[str]:
    """The classes and functions, named after the modules that define them."""
    named = [
        getattr(module, name)
        for module in (spiff_element_units, spiff_element_units.spiff, spiff_element_units.sql)
        for name in module.__all__
        if name != "__version__"
    ]
    return {f"{one.__module__}.{one.__qualname__}" for one in named}


def symbols() -> list[dict[str, Any]]:
    """The report of pyright about each symbol of the package."""
    command = ["pyright", "--pythonpath", sys.executable, "--outputjson", "--ignoreexternal"]
    done = subprocess.run(
        [sys.executable, "-m", *command, "--verifytypes", "spiff_element_units"],
        stdout=subprocess.PIPE,
        check=False,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)["typeCompleteness"]["symbols"]
    return found


def main() -> int:
    names, seen, unknown = public(), set(), 0
    for symbol in symbols():
        owners = {name for name in names if f"{symbol['name']}.".startswith(f"{name}.")}
        seen |= owners
        if owners and not (symbol["isTypeKnown"] and not symbol["isTypeAmbiguous"]):
            unknown += 1
            print(symbol["name"], *(said["message"] for said in symbol["diagnostics"]), sep="\n  ")
    if names - seen:
        print("pyright does not know of", ", ".join(sorted(names - seen)))
    print(f"{len(names)} public names, {unknown} of unknown or ambiguous type")
    return 1 if unknown or names - seen else 0


if __name__ == "__main__":
    sys.exit(main())
