"""Says how much of each module the tests have run. Fails if that is too little for a module.

    python tests/covered.py PERCENT

Reads the data of `coverage combine` in this folder. A module without data counts as not run. Two
kinds of lines do not count: those that are marked `pragma: no cover`, each with its reason beside
it, and the inline functions of .pxd files, which Cython.Coverage does not find in the C source.
"""

from __future__ import annotations

import sys
from pathlib import Path

import coverage


def ranges(lines: list[int]) -> str:
    """3-5, 9"""
    found: list[list[int]] = []
    for line in lines:
        if found and line == found[-1][1] + 1:
            found[-1][1] = line
        else:
            found.append([line, line])
    return ", ".join(f"{a}-{b}" if a != b else f"{a}" for a, b in found)


def main(wanted: float) -> int:
    data = coverage.Coverage()
    data.load()
    seen = {Path(name).resolve() for name in data.get_data().measured_files()}
    failed = []
    package = Path("spiff_element_units").resolve()
    for kind in ("*.py", "*.pyx"):
        for path in sorted(package.rglob(kind)):
            _, lines, excluded, missing, _ = data.analysis2(str(path))
            share = 100 * (1 - len(missing) / max(len(lines), 1)) if path in seen else 0
            name = str(path.relative_to(package))
            print(f"{share:6.1f} %  {len(lines):4} lines  {name:22} {ranges(missing)[:200]}")
            if excluded:
                print(f"{'left out':>35}: {ranges(excluded)}")
            if share < wanted:
                failed.append(name)
    if failed:
        print(f"less than {wanted} % of the lines were run of: {', '.join(failed)}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
