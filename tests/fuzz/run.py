"""Fuzzes the compiled code with sanitizers, and shows how much of it the fuzzers reached.

    python tests/fuzz/run.py SECONDS            each fuzzer for so long
    python tests/fuzz/run.py SECONDS --keep     and put what reaches new code into the kept corpus

`make fuzz` compiles the extensions in `build/fuzz` so that libFuzzer sees each of their branches.
The inputs that it finds stay in `build/fuzz-corpus`, and the next run starts from them. The end of
the output names each input that crashes: put it into `tests/fuzz/corpus`, where the tests replay
it, and fix the cause.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

from seeds import CORPUS, seeds

TESTS = Path(__file__).resolve().parents[1]
BUILD = TESTS.parent / "build"
FUZZERS = ("text", "pack", "state")


def fuzz_one(name: str) -> None:
    """In a process of its own, with the sanitizers' runtime loaded first."""
    import importlib  # noqa: PLC0415

    import atheris  # noqa: PLC0415

    import spiff_element_units  # noqa: PLC0415

    assert Path(spiff_element_units.__file__).is_relative_to(BUILD / "fuzz")
    fuzzer = importlib.import_module(f"fuzz.fuzz_{name}")

    def one_input(data: bytes) -> None:
        fuzzer.one_input(data)

    again = f"{sys.executable} {__file__} --one {name}"  # libFuzzer starts itself again to merge
    atheris.Setup([again, *sys.argv[3:]], one_input)
    atheris.Fuzz()


def environment() -> dict[str, str]:
    import atheris  # noqa: PLC0415

    return {
        **os.environ,
        "LD_PRELOAD": os.path.join(atheris.path(), "asan_with_fuzzer.so"),
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
        "PYTHONMALLOC": "malloc",  # so that the sanitizer sees the end of each object
        "PYTHONPATH": os.pathsep.join([str(BUILD / "fuzz"), str(TESTS)]),
    }


def libfuzzer(name: str, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, __file__, "--one", name, *arguments]
    # atheris writes the exception of a target to stdout, and libFuzzer writes to stderr.
    run = subprocess.run(
        command,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return run.returncode, run.stdout.decode(errors="replace")


def found_by(name: str) -> Path:
    """The directory of what a fuzzer has found, seeds included."""
    place = BUILD / "fuzz-corpus" / name
    place.mkdir(parents=True, exist_ok=True)
    for seed, content in seeds(name).items():
        (place / f"seed-{seed}").write_bytes(content)
    return place


def fuzz(name: str, seconds: int) -> bool:
    """Run a fuzzer. Returns whether nothing crashed."""
    (CORPUS / name).mkdir(parents=True, exist_ok=True)
    code, said = libfuzzer(
        name,
        f"-max_total_time={seconds}",
        "-timeout=20",
        "-rss_limit_mb=3000",
        f"-artifact_prefix={BUILD / 'fuzz-corpus'}/{name}-",
        f"-dict={TESTS / 'fuzz' / 'json.dict'}",
        str(found_by(name)),
        str(CORPUS / name),
    )
    (BUILD / "fuzz-corpus" / f"{name}.log").write_text(said)
    states = re.findall(r"^#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+)", said, re.MULTILINE)
    if not states:
        print(said)
        return False
    started = re.findall(r"INITED cov: (\d+)", said)
    compiled = re.findall(r"NEW_FUNC\[.*? in (\w+) (_\w+\.c)", said)
    print(
        f"{name}: {int(states[-1][0]):,} inputs; edges of the compiled code: "
        f"{started[0]} at the start, {states[-1][1]} at the end; "
        f"functions that were new: {len(set(compiled))}"
    )
    if code:
        print(said[-6_000:])
        print("\n".join(re.findall(r"Test unit written to (.*)", said)))
    return code == 0


def keep(name: str) -> None:
    """Add the inputs that reach a new edge to the kept corpus."""
    before = len(list((CORPUS / name).iterdir()))
    code, said = libfuzzer(
        name, "-merge=1", "-use_counters=0", str(CORPUS / name), str(found_by(name))
    )
    assert code == 0, said
    print(f"{name}: {len(list((CORPUS / name).iterdir()))} inputs kept, {before} before")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seconds", type=int, help="how long each fuzzer runs")
    parser.add_argument("--keep", action="store_true", help="add what was found to the corpus")
    options = parser.parse_args()
    good = [fuzz(name, options.seconds) for name in FUZZERS]
    for name in FUZZERS if options.keep else ():
        keep(name)
    return not all(good)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        fuzz_one(sys.argv[2])
    sys.exit(main())
