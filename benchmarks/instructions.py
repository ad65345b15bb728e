"""Count the instructions of an application's operations, now and in 0.4.0, with callgrind.

    python benchmarks/instructions.py --before PYTHON    (make bench-instructions)

Times vary from run to run and instruction counts do not: the same code on the same input needs the
same number, within a few in a thousand. Each operation is set up and done once. Then it is
repeated, and the mean is counted. PYTHON has 0.4.0 installed. It must have the same versions of
Python and of the libraries as the interpreter that runs this script. The counts are printed and
written to `results/instructions.json`.

The exit code is 1 if an operation needs over 2 % more instructions than in 0.4.0.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "instructions.json"
PROCESSES = 36
MOST = 1.02  # of what 0.4.0 needs
OPERATIONS = {  # name: case, subject, how often
    "cache": ("cache", "ours", 5),
    "cache again": ("cache again", "ours", 10),
    "get start": ("get start", "ours", 200),
    "get deep": ("get deep", "ours", 100),
    "get leaf": ("get leaf", "ours", 200),
    "workflow()": ("workflow()", "ours", 500),
    "start, cold": ("start", "cold", 10),
    "start, warm": ("start", "warm", 20),
    "resume, cold": ("resume", "cold", 10),
    "resume, warm": ("resume", "warm", 20),
    "resume deep, warm": ("resume deep", "warm", 10),
    "save": ("save", "ours", 20),
    "save deep": ("save deep", "ours", 10),
    "orjson.loads of the text": ("cache", "loads", 5),
    "reading a file with the unit": ("get start", "read", 500),
}
VERSIONS = """
import json, platform
from importlib.metadata import version
print(json.dumps({
    "python": f"{platform.python_implementation()} {platform.python_version()}",
    "machine": platform.machine(), **{name: version(name) for name in ("orjson", "SpiffWorkflow")},
}))
"""


def run_all(folder: Path) -> None:
    """Run each operation, with a call at its start and end at which callgrind saves its counts."""
    import gc

    import cases  # noqa: F401 - registers the cases
    from given import Given
    from timing import CASES

    for case, subject, times in OPERATIONS.values():
        with tempfile.TemporaryDirectory() as scratch:
            operation = CASES[case, subject](Given(folder, Path(scratch)))
            operation.run()
            gc.collect()
            gc.freeze()
            os.getpgrp()
            for _ in range(times):
                operation.run()
            os.getpgrp()


def environment(python: str) -> dict[str, str]:
    """The variables of an interpreter. That of 0.4.0 must not find this version."""
    fixed = {"PYTHONHASHSEED": "0", "PYTHONMALLOC": "pymalloc"}
    path = os.environ.get("PYTHONPATH", "") if python == sys.executable else ""
    return {**os.environ, **fixed, "PYTHONPATH": path}


def counted(python: str, folder: Path) -> list[int]:
    """The instructions of one run of each operation."""
    with tempfile.TemporaryDirectory() as dumps:
        tool = ["valgrind", "--tool=callgrind", "--dump-before=getpgrp", "--dump-line=no"]
        tool.append(f"--callgrind-out-file={dumps}/out")
        command = [*tool, python, __file__, "--run", str(folder)]
        done = subprocess.run(
            command, env=environment(python), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
        found = []
        for number, (_, _, times) in enumerate(OPERATIONS.values(), 1):
            dump = (Path(dumps) / f"out.{2 * number}").read_text(encoding="utf-8")
            total = re.search(r"^(?:totals|summary): (\d+)", dump, re.MULTILINE)
            assert total is not None
            found.append(round(int(total[1]) / times))
    return found


def conditions(python: str, folder: Path) -> dict[str, str]:
    """What the counts depend on, besides the code."""
    text = (folder / "spec.json").read_bytes()
    said = subprocess.run(
        [python, "-c", VERSIONS], env=environment(python), stdout=subprocess.PIPE, check=True
    )
    size = f"{PROCESSES} processes, {len(text)} bytes, {hashlib.sha256(text).hexdigest()}"
    return {"input": size, **json.loads(said.stdout)}


def show(rows: list[tuple[str, int, int]]) -> list[str]:
    """Print the counts in 0.4.0 and now; return the operations that need too many more."""
    print(f"{'operation':<30}{'0.4.0':>14}{'now':>14}{'change':>9}")
    for name, was, count in rows:
        print(f"{name:<30}{was:>14,}{count:>14,}{count / was - 1:>+9.2%}")
    more = [name for name, was, count in rows if count > MOST * was]
    if more:
        print(f"too many more than in 0.4.0: {', '.join(more)}")
    return more


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--before", help="the Python that has spiff-element-units 0.4.0")
    arguments.add_argument("--run", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.run:
        run_all(Path(given.run))
        return 0
    if not given.before:
        arguments.error("--before is required; make bench-instructions passes it")

    from workflows import Tree, prepared

    folder = prepared(Tree(PROCESSES), HERE / ".cache")
    pythons = (given.before, sys.executable)
    before, now = (conditions(python, folder) for python in pythons)
    if before != now:
        raise SystemExit(f"not comparable: 0.4.0 has {before}, and this interpreter has {now}")
    with ThreadPoolExecutor() as pool:
        counts = [*pool.map(lambda python: counted(python, folder), pythons)]
    rows = [*zip(OPERATIONS, *counts)]
    more = show(rows)
    text = json.dumps(
        {"conditions": now, "instructions": {n: {"0.4.0": w, "now": c} for n, w, c in rows}},
        indent=1,
    )
    RESULTS.write_text(text + "\n", encoding="utf-8")
    return 1 if more else 0


if __name__ == "__main__":
    sys.exit(main())
