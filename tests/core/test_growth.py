"""Work and memory grow in proportion to the input, whatever shape somebody gives it.

Counted are the machine's instructions, by valgrind's callgrind, and the memory that a fresh process
takes; never seconds. Each shape of `growth.SHAPES` is tried in three sizes, each twice the one
before. STRESS_GROWTH makes all sizes so many times larger, which finds what is quadratic but small.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import growth
import pytest
from crowd import amount

SIZES = [times * amount("GROWTH", 1) for times in (1, 2, 4)]

Counts = dict[str, dict[str, list[int]]]
"""Of each shape and step, the instructions for each size."""


def interpreter(*arguments: str) -> list[str]:
    return [sys.executable, growth.__file__, *arguments]


def environment(malloc: str) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONHASHSEED": "0",
        "PYTHONMALLOC": malloc,
    }


def callgrind(texts: Path, counts: Path) -> list[int]:
    """The instructions between each two marks of `growth.py count`."""
    tool = ["valgrind", "--tool=callgrind", "--dump-before=getpgrp", "--dump-line=no"]
    tool.append(f"--callgrind-out-file={counts / 'out'}")
    done = subprocess.run(
        [*tool, *interpreter("count", str(texts))], env=environment("pymalloc"), check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout.decode()[-3_000:]
    found = []
    for number in range(1, len(list(counts.iterdir()))):
        dump = (counts / f"out.{number}").read_text()
        found.append(int(re.search(r"^(?:totals|summary): (\d+)", dump, re.MULTILINE)[1]))
    return found


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Counts:
    if not shutil.which("valgrind"):
        pytest.skip("needs valgrind to count instructions")
    texts, dumps = tmp_path_factory.mktemp("texts"), tmp_path_factory.mktemp("dumps")
    for number, shape in enumerate(growth.SHAPES):
        for times in SIZES:
            (texts / f"{number:03} {times:06}").write_bytes(growth.text_of(shape, times))
    found = callgrind(texts, dumps)
    marks = len(growth.STEPS) + 2  # before the first, after each, and where it is saved
    assert len(found) == marks * (len(SIZES) * len(growth.SHAPES) + 1)
    per_text = [found[at : at + marks] for at in range(marks, len(found), marks)]
    return {
        shape: {
            step: [per_text[number * len(SIZES) + size][place] for size in range(len(SIZES))]
            for step, place in zip(growth.STEPS, (1, 3, 4))
        }
        for number, shape in enumerate(growth.SHAPES)
    }


def assert_proportional(costs: list[int], lengths: list[int], unevenness: int) -> None:
    """Twice the input, twice the cost: the second doubling takes what the first one did for each
    byte. In a quadratic case it takes twice as much, and a little more is for tables that grow by
    doubling; `unevenness` is what two runs of one thing may differ by."""
    first, second = (costs[n + 1] - costs[n] for n in (0, 1))
    expected = first * (lengths[2] - lengths[1]) / (lengths[1] - lengths[0])
    assert second <= 1.35 * max(expected, 0) + 0.03 * costs[2] + unevenness


def lengths(shape: str, larger: int = 1) -> list[int]:
    return [len(growth.text_of(shape, larger * times)) for times in SIZES]


@pytest.mark.parametrize("step", growth.STEPS)
@pytest.mark.parametrize("shape", growth.SHAPES)
def test_work_grows_in_proportion_to_the_text(shape: str, step: str, counts: Counts) -> None:
    print(f"{shape}, {step}: {counts[shape][step]} instructions")
    assert_proportional(counts[shape][step], lengths(shape), 100_000)


LARGER = 8  # memory is not counted by the byte


def measured_peaks(texts: Path) -> list[list[int]]:
    done = subprocess.run(
        interpreter("peaks", str(texts)), env=environment("malloc"), check=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    lines = [[*map(int, line.split())] for line in done.stdout.splitlines()]
    assert len(lines) == len(SIZES) * len(growth.SHAPES)
    return lines


@pytest.fixture(scope="module")
def peaks(tmp_path_factory: pytest.TempPathFactory) -> Counts:
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    texts = tmp_path_factory.mktemp("texts")
    for number, shape in enumerate(growth.SHAPES):
        for times in SIZES:
            (texts / f"{number:03} {times:06}").write_bytes(growth.text_of(shape, LARGER * times))
    # Where addresses happen to lie leaves a larger hole now and then, but not twice in one place.
    runs = [measured_peaks(texts) for _ in range(2)]
    lines = [[*map(min, *both)] for both in zip(*runs)]
    return {
        shape: {
            step: [lines[number * len(SIZES) + size][place] for size in range(len(SIZES))]
            for place, step in enumerate(growth.STEPS)
        }
        for number, shape in enumerate(growth.SHAPES)
    }


@pytest.mark.parametrize("step", growth.STEPS)
@pytest.mark.parametrize("shape", growth.SHAPES)
def test_memory_grows_in_proportion_to_the_text(shape: str, step: str, peaks: Counts) -> None:
    taken, sizes = peaks[shape][step], lengths(shape, LARGER)
    print(f"{shape}, {step}: {taken} bytes for texts of {sizes} bytes")
    assert_proportional(taken, sizes, 2 * 2**20)
    assert taken[-1] < 64 * sizes[-1] + 4 * 2**20


def test_the_measure_tells_what_is_quadratic() -> None:
    sizes = [10_000, 20_000, 40_000]
    assert_proportional([1_000_000 + 7 * size for size in sizes], sizes, 10_000)
    assert_proportional([7 * size + size * size.bit_length() for size in sizes], sizes, 10_000)
    with pytest.raises(AssertionError):
        assert_proportional([40 * size + size**2 // 500 for size in sizes], sizes, 10_000)
