"""Workflows that are easy to tell apart, and real processes that run, die and have limits.

`text(mark)` is a workflow that has its mark in each of its specs. `mark_in(unit)` finds the mark,
and fails if a unit is incomplete or comes from two workflows. `Child` is a forked process.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable

import pytest

from spiff_element_units import ElementUnits
from spiff_element_units.cache import platform

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can mount and be another"
)


def _may_link() -> bool:
    """Whether this user can make symbolic links. On Windows, few users can."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            os.symlink(folder, os.path.join(folder, "link"))
        except OSError:
            return False
    return True


needs_links = pytest.mark.skipif(not _may_link(), reason="may not make symbolic links")
needs_open_files_removed = pytest.mark.skipif(
    os.name == "nt", reason="Windows removes no file that is open"
)

NOBODY = 65534


def amount(name: str, default: int) -> int:
    """How often a test does something: the environment variable STRESS_<NAME>, or a default."""
    return int(os.environ.get(f"STRESS_{name}", default))


def process(name: str, mark: str, *tasks: dict, filling: int = 0) -> dict:
    specs = {task["name"]: task for task in tasks}
    data = {"mark": mark, "filling": "x" * filling}
    return {"name": name, "typename": "BpmnProcessSpec", "task_specs": specs, "data": data}


@functools.cache
def text(mark: str, filling: int = 0) -> str:
    """A workflow: A calls B and embeds C."""
    call = {"name": "call", "typename": "CallActivity", "spec": "B"}
    embed = {"name": "embed", "typename": "SubWorkflowTask", "spec": "C"}
    return json.dumps(
        {
            "spec": process("A", mark, call, embed, filling=filling),
            "subprocess_specs": {
                name: process(name, mark, {"name": f"in {name}", "typename": "T"}, filling=filling)
                for name in "BC"
            },
        }
    )


@functools.cache
def unit(mark: str, filling: int = 0, element: str = "call") -> str:
    """The expected unit of A at an element."""
    return ElementUnits.from_json(text(mark, filling)).workflow("A", element)


def mark_in(got: str, filling: int = 0, element: str = "call") -> str:
    """The mark of a unit, after every byte of the unit was checked."""
    mark = json.loads(got)["spec"]["data"]["mark"]
    assert got == unit(mark, filling, element)
    return mark


def files_in(directory: Path) -> list[Path]:
    """Every file below a directory, packs or not."""
    return sorted(path for path in directory.rglob("*") if path.is_symlink() or path.is_file())


def packs_in(directory: Path) -> list[Path]:
    return [path for path in files_in(directory) if path.suffix == ".pack"]


class Child:
    """A forked process that does some work. `with` waits for it, and fails if it failed."""

    def __init__(self, work: Callable[[], Any]) -> None:
        sys.stderr.flush()
        self.pid = os.fork()
        self.status: int | None = None
        if self.pid == 0:
            code = 1
            try:
                work()
                code = 0
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(code)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        assert os.WTERMSIG(self.wait()) == signal.SIGKILL

    def wait(self) -> int:
        if self.status is None:
            self.status = os.waitpid(self.pid, 0)[1]
        return self.status

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None and self.status is None:
            os.kill(self.pid, signal.SIGKILL)
        status = self.wait()
        assert kind is not None or status == 0, "the child failed; see what it said"


def together(works: list[Callable[[], Any]]) -> None:
    """Do all of it at the same time, each in its own process. Fails if one of them fails."""
    ready, start = os.pipe()

    def once_started(work: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> None:
            os.close(start)
            os.read(ready, 1)  # ends when the parent closes the other end
            work()

        return run

    children = [Child(once_started(work)) for work in works]
    os.close(start)
    os.close(ready)
    statuses = [child.wait() for child in children]
    assert statuses == [0] * len(children), "a child failed; see what it said"


class Line:
    """A pipe between parent and child, for one to wait for the other."""

    def __init__(self) -> None:
        self.ends = os.pipe()

    def tell(self) -> None:
        os.write(self.ends[1], b".")

    def hear(self) -> None:
        assert os.read(self.ends[0], 1) == b"."

    def close(self) -> None:
        for end in self.ends:
            os.close(end)


@contextmanager
def line() -> Iterator[Line]:
    made = Line()
    try:
        yield made
    finally:
        made.close()


@contextmanager
def writer_at_work(directory: Path, key: str, mark: str) -> Iterator[Child]:
    """A process that has written a pack to its temporary file, and waits."""
    with line() as written:

        def work() -> None:
            def waiting(file: int) -> None:
                written.tell()
                signal.pause()

            platform.sync_file = waiting
            ElementUnits.from_json(text(mark)).save(directory, key, durable=True)

        child = Child(work)
        written.hear()
        try:
            yield child
        finally:
            if child.status is None:
                child.kill()
