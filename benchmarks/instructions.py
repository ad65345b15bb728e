"""Count the instructions of caching and getting, under valgrind's callgrind.

    python benchmarks/instructions.py [--save]

Time is noisy, instructions are not: the same code on the same input needs the same number, within a
few in ten thousand. Each operation runs N times and 2 N times, in interpreters of their own that
are equal in all else; the difference is what N operations take, start-up left out. The counts are
printed beside those kept in `results/instructions.json`, which `--save` writes anew. They compare
only where the interpreter, the libraries and the input are the same, which is said.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
KEPT = HERE / "results" / "instructions.json"
PROCESSES = 36
OPERATIONS = {  # name: case, subject, N
    "cache": ("cache", "ours", 3),
    "cache again": ("cache again", "ours", 10),
    "get start": ("get start", "ours", 200),
    "get deep": ("get deep", "ours", 100),
    "get leaf": ("get leaf", "ours", 200),
    "workflow()": ("workflow()", "ours", 500),
    "start, cold": ("start", "cold", 10),
    "start, warm": ("start", "warm", 20),
    "orjson.loads of the text": ("cache", "loads", 3),
    "reading a file with the unit": ("get start", "read", 500),
}


def repeat(name: str, times: int, folder: Path) -> None:
    """Run an operation so many times, after it was set up and run once."""
    import gc

    from cases import CASES, Given

    case, subject, _ = OPERATIONS[name]
    with tempfile.TemporaryDirectory() as scratch:
        operation = CASES[case, subject](Given(folder, Path(scratch)))
        operation.run()
        gc.collect()
        gc.freeze()
        for _ in range(times):
            operation.run()


def instructions(name: str, times: int, folder: Path) -> int:
    """Instructions of an interpreter that runs an operation so many times."""
    tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={os.devnull}"]
    command = [*tool, sys.executable, __file__, f"--repeat={name}", f"--times={times:04}"]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONMALLOC": "pymalloc"}
    done = subprocess.run(
        [*command, f"--folder={folder}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Collected\s*:\s*(\d+)", done.stderr)
    if done.returncode or not found:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return int(found.group(1))


def counted(folder: Path) -> dict[str, int]:
    """Instructions of one run of each operation."""
    found = {}
    for name, (_, _, times) in OPERATIONS.items():
        once, twice = (instructions(name, n, folder) for n in (times, 2 * times))
        found[name] = round((twice - once) / times)
    return found


def conditions(folder: Path) -> dict[str, str]:
    """What the counts depend on, besides the code."""
    text = (folder / "spec.json").read_bytes()
    return {
        "input": f"{PROCESSES} processes, {len(text)} bytes, {hashlib.sha256(text).hexdigest()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": platform.machine(),
        "orjson": version("orjson"),
    }


def show(counts: dict[str, int], now: dict[str, str], kept: dict[str, Any]) -> None:
    """Print the counts beside those that were kept."""
    before = kept.get("instructions", {})
    print(f"{'operation':<30}{'instructions':>14}{'kept':>14}{'change':>9}")
    for name, count in counts.items():
        was = before.get(name)
        change = f"{count / was - 1:+.2%}" if was else ""
        print(f"{name:<30}{count:>14,}{was or 0:>14,}{change:>9}")
    for key, value in kept.get("conditions", {}).items():
        if now[key] != value:
            print(f"not comparable: {key} is {now[key]}, and was {value}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--save", action="store_true", help="keep the counts")
    for hidden in ("--repeat", "--times", "--folder"):
        arguments.add_argument(hidden, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.repeat:
        repeat(given.repeat, int(given.times), Path(given.folder))
        return

    from workflows import Tree, prepared

    folder = prepared(Tree(PROCESSES), HERE / ".cache")
    now = conditions(folder)
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    counts = counted(folder)
    show(counts, now, kept)
    if given.save:
        KEPT.parent.mkdir(exist_ok=True)
        text = json.dumps({"conditions": now, "instructions": counts}, indent=1) + "\n"
        KEPT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
