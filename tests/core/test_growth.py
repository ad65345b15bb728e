"""Work and memory grow in proportion to the input, for any shape of the input.

The tests count the instructions of the machine, with valgrind's callgrind, and the memory that a
fresh process takes. They never measure seconds. They try each shape of `growth` and `state_growth`
in three sizes, of which each is twice the one before. STRESS_GROWTH multiplies all sizes, which
finds small quadratic costs.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import growth
import pytest
import state_growth
from crowd import amount

SIZES = [times * amount("GROWTH", 1) for times in (1, 2, 4)]

PROGRAMS = {"workflow": growth, "state": state_growth}
CASES = [
    (name, shape, step)
    for name, program in PROGRAMS.items()
    for shape in program.SHAPES
    for step in program.STEPS
]

Counts = dict[tuple[str, str], list[int]]
"""Of each shape and step, what it takes for each size."""


def interpreter(program: Any, *arguments: str) -> list[str]:
    return [sys.executable, program.__file__, *arguments]


def environment(malloc: str) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONHASHSEED": "0",
        "PYTHONMALLOC": malloc,
    }


def write_texts(program: Any, folder: Path, larger: int = 1) -> None:
    for number, shape in enumerate(program.SHAPES):
        for times in SIZES:
            text = program.text_of(shape, larger * times)
            (folder / f"{number:03} {times:06}").write_bytes(text)


def by_case(program: Any, rows: list[list[int]]) -> Counts:
    """The rows of a program, one for each text, by shape and step."""
    return {
        (shape, step): [row[place] for row in rows[number * len(SIZES) :][: len(SIZES)]]
        for number, shape in enumerate(program.SHAPES)
        for place, step in enumerate(program.STEPS)
    }


def callgrind(program: Any, texts: Path, counts: Path) -> list[int]:
    """The instructions between each two marks of a program."""
    tool = ["valgrind", "--tool=callgrind", "--dump-before=getpgrp", "--dump-line=no"]
    tool.append(f"--callgrind-out-file={counts / 'out'}")
    done = subprocess.run(
        [*tool, *interpreter(program, "count", str(texts))], env=environment("pymalloc"),
        check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout.decode()[-3_000:]
    found = []
    for number in range(1, len(list(counts.iterdir()))):
        dump = (counts / f"out.{number}").read_text()
        found.append(int(re.search(r"^(?:totals|summary): (\d+)", dump, re.MULTILINE)[1]))
    return found


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Counts]:
    if not shutil.which("valgrind"):
        pytest.skip("needs valgrind to count instructions")

    @functools.cache
    def count(name: str) -> Counts:
        program = PROGRAMS[name]
        texts, dumps = tmp_path_factory.mktemp("texts"), tmp_path_factory.mktemp("dumps")
        write_texts(program, texts)
        found = callgrind(program, texts, dumps)
        marks = len(program.STEPS) + 2  # before the first, after each, and where it is saved
        assert len(found) == marks * (len(SIZES) * len(program.SHAPES) + 1)
        rows = [found[at : at + marks] for at in range(marks, len(found), marks)]
        return by_case(program, [[row[1], row[3], row[4]] for row in rows])

    return count


def assert_proportional(costs: list[int], lengths: list[int], unevenness: int) -> None:
    """Require that twice the input has twice the cost.

    The second doubling must cost as much for each byte as the first one. A quadratic case costs
    twice as much there. The limit is a little higher than 1 because of tables that grow by
    doubling. `unevenness` is the difference that two runs of the same thing may have.
    """
    first, second = (costs[n + 1] - costs[n] for n in (0, 1))
    expected = first * (lengths[2] - lengths[1]) / (lengths[1] - lengths[0])
    assert second <= 1.35 * max(expected, 0) + 0.03 * costs[2] + unevenness


def lengths(name: str, shape: str, larger: int = 1) -> list[int]:
    return [len(PROGRAMS[name].text_of(shape, larger * times)) for times in SIZES]


@pytest.mark.parametrize(("name", "shape", "step"), CASES)
def test_work_grows_in_proportion_to_the_text(
    name: str, shape: str, step: str, counts: Callable[[str], Counts]
) -> None:
    counted = counts(name)[shape, step]
    print(f"{shape}, {step}: {counted} instructions")
    assert_proportional(counted, lengths(name, shape), 100_000)


LARGER = 8  # memory is not counted by the byte


def measured_peaks(program: Any, texts: Path) -> list[list[int]]:
    done = subprocess.run(
        interpreter(program, "peaks", str(texts)), env=environment("malloc"), check=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    rows = [[*map(int, line.split())] for line in done.stdout.splitlines()]
    assert len(rows) == len(SIZES) * len(program.SHAPES)
    return rows


@pytest.fixture(scope="module")
def peaks(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Counts]:
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")

    @functools.cache
    def measure(name: str) -> Counts:
        program = PROGRAMS[name]
        texts = tmp_path_factory.mktemp("texts")
        write_texts(program, texts, LARGER)
        # By chance, a hole in the memory is larger in one run, but not twice in the same place.
        runs = [measured_peaks(program, texts) for _ in range(2)]
        return by_case(program, [[*map(min, *both)] for both in zip(*runs)])

    return measure


@pytest.mark.parametrize(("name", "shape", "step"), CASES)
def test_memory_grows_in_proportion_to_the_text(
    name: str, shape: str, step: str, peaks: Callable[[str], Counts]
) -> None:
    taken, sizes = peaks(name)[shape, step], lengths(name, shape, LARGER)
    print(f"{shape}, {step}: {taken} bytes for texts of {sizes} bytes")
    assert_proportional(taken, sizes, 2 * 2**20)
    assert taken[-1] < 64 * sizes[-1] + 4 * 2**20


def test_the_measure_tells_what_is_quadratic() -> None:
    sizes = [10_000, 20_000, 40_000]
    assert_proportional([1_000_000 + 7 * size for size in sizes], sizes, 10_000)
    assert_proportional([7 * size + size * size.bit_length() for size in sizes], sizes, 10_000)
    with pytest.raises(AssertionError):
        assert_proportional([40 * size + size**2 // 500 for size in sizes], sizes, 10_000)
