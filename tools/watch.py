"""Run a command. If one of its processes crashes, keep what explains the crash.

    python tools/watch.py FOLDER COMMAND ..
    python tools/watch.py --seconds 3600 FOLDER COMMAND ..

Every Python that the command starts runs with faulthandler, which prints the Python stack of a
crash. On Linux core dumps are on. Each core that a process leaves is moved into a folder of its own
in FOLDER, together with

    backtrace.txt    the stacks of all threads, the registers and the libraries, by gdb
    hashes.txt       SHA-256 of the program and of each library that it had loaded
    freeze.txt       the distributions in the environment that it ran in
    extensions/      the compiled modules of spiff_element_units that it ran

The backtrace is printed too. With --seconds the command runs again and again until so many
seconds are over, and stops at the first crash.

The exit code is 1 if there was a crash or, with --seconds, if a run failed. Otherwise it is that of
the command. Cores are looked for in the current folder, in the command's temporary folder, and in
the folder of the kernel's core pattern.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

LINUX = sys.platform == "linux"
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
BACKTRACE = ("thread apply all backtrace 200", "info registers", "info sharedlibrary")
MAPPED_FILE = re.compile(r"^ *0x.*? (/.*?) *$", re.MULTILINE)


def allow_cores() -> None:
    """Let processes of the command leave cores. Says why if they cannot."""
    if not LINUX:
        return
    import resource  # noqa: PLC0415 - there is none on Windows

    if not shutil.which("gdb"):
        sys.exit("tools/watch.py needs gdb to read cores: apt-get install gdb")
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
    pattern = CORE_PATTERN.read_text().strip()
    if most == 0:
        print("No cores are kept: the hard limit is 0 (ulimit -H -c).", file=sys.stderr)
    elif pattern.startswith("|"):
        print(f"No cores are kept: the kernel gives them to {pattern[1:]}", file=sys.stderr)
        print("To keep them: sysctl -w kernel.core_pattern=core.%p", file=sys.stderr)


def is_core(path: Path, since: float) -> bool:
    """Whether a file is a core that was written since a time."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_mtime < since:
            return False
        with path.open("rb") as file:
            start = file.read(18)
    except OSError:
        return False
    return start[:4] == b"\x7fELF" and int.from_bytes(start[16:18], sys.byteorder) == 4


def cores(folders: Iterable[Path], since: float, kept: Path) -> Iterator[Path]:
    """The cores below some folders that were not kept yet."""
    for folder in folders:
        for place, below, names in os.walk(folder):
            below[:] = [name for name in below if Path(place, name) != kept]
            for name in names:
                if "core" in name and is_core(Path(place, name), since):
                    yield Path(place, name)


def gdb(core: Path, *commands: str) -> str:
    """The output of gdb about a core."""
    asked = [part for command in commands for part in ("-ex", command)]
    done = subprocess.run(
        ["gdb", "-nx", "-batch", "-core", str(core), *asked],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.stdout.decode(errors="replace")


def hashes(files: Iterable[Path]) -> str:
    """A line with hash and path for each file that exists."""
    found = [path for path in files if path.is_file()]
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}\n" for path in found)


def freeze(files: Iterable[Path]) -> str:
    """The distributions in the folders that some files come from, a line for each."""
    parents = {parent for path in files for parent in path.parents}
    folders = [str(folder) for folder in parents if folder.name.endswith("-packages")]
    lines = {
        f"{one.metadata['Name']}=={one.version}\n"
        for one in importlib.metadata.distributions(path=folders)
    }
    return "".join(sorted(lines, key=str.lower))


def unused(folder: Path) -> Path:
    """The path of a new folder in another one, named by the time."""
    now = time.strftime("%Y-%m-%d-%H%M%S")
    names = (folder / f"{now}-{number}" for number in itertools.count())
    return next(path for path in names if not path.exists())


def keep(core: Path, folder: Path) -> None:
    """Move a core into a folder, and write what explains it beside it."""
    folder.mkdir(parents=True)
    core = Path(shutil.move(core, folder / "core"))
    mapped = MAPPED_FILE.findall(gdb(core, "info proc mappings"))
    files = [Path(name) for name in dict.fromkeys(mapped)]
    program = str(files[0]) if files else ""
    backtrace = gdb(core, f"file {program}", f"core-file {core}", *BACKTRACE)
    (folder / "backtrace.txt").write_text(backtrace)
    (folder / "hashes.txt").write_text(hashes(files))
    (folder / "freeze.txt").write_text(freeze(files))
    (folder / "extensions").mkdir()
    for path in files:
        if "spiff_element_units" in path.parts and path.is_file():
            shutil.copy(path, folder / "extensions")
    print(f"{backtrace}\nCRASH of {program}. All about it is in {folder}", file=sys.stderr)


def run(command: list[str], folder: Path) -> tuple[int, int]:
    """Run a command once: its exit code, and how many crashes there were."""
    temporary = Path(tempfile.mkdtemp(prefix="watch-"))
    temporary.chmod(0o1777)  # like /tmp, because servers that run as another user write there too
    since = time.time() - 1  # file systems round
    try:
        code = subprocess.call(
            command, env={**os.environ, "PYTHONFAULTHANDLER": "1", "TMPDIR": str(temporary)}
        )
        if not LINUX:
            return code, code < 0
        pattern = Path(CORE_PATTERN.read_text().strip())
        places = [Path.cwd(), temporary, *([pattern.parent] if pattern.is_absolute() else [])]
        found = list(cores(places, since, folder.absolute()))
        for core in found:
            keep(core, unused(folder))
        return code, max(len(found), code < 0)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a command and keep its crashes.")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("folder", type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    allow_cores()
    until = time.monotonic() + (asked.seconds or 0)
    runs, failed = 0, 0
    while True:
        code, crashes = run(asked.command, asked.folder)
        if crashes:
            return 1
        if asked.seconds is None:
            return code
        runs, failed = runs + 1, failed + (code != 0)
        print(f"{time.strftime('%H:%M:%S')} run {runs} ended with {code}", flush=True)
        if time.monotonic() >= until:
            break
    print(f"{runs} runs without a crash; {failed} of them failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
