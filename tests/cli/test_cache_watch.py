"""`cache --watch` of the command: a developer's folder of models, cached at each change."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import COMMAND, EXAMPLES, environment, failing, lacking

from spiff_element_units import ElementUnits

# A shell without job control has what it starts in the background ignore SIGINT.
HEED = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


class Watching:
    """The command, while it watches. Both of its streams are read together."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HEED, *COMMAND, *map(str, arguments), "--watch"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            env=environment(PYTHONUNBUFFERED="1"),
        )

    def until(self, ending: str) -> list[str]:
        """The lines up to one that contains a text."""
        lines: list[str] = []
        while not lines or ending not in lines[-1]:
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
            assert line, lines
            lines.append(line.strip())
        return lines


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "orders.bpmn").write_bytes((EXAMPLES / "orders.bpmn").read_bytes())
    return folder


@pytest.fixture
def options() -> tuple[str, ...]:
    return ()


@pytest.fixture
def watching(tmp_path: Path, tree: Path, options: tuple[str, ...]) -> Iterator[Watching]:
    pytest.importorskip("watchfiles")
    if os.name == "nt":
        pytest.skip("Windows sends no SIGINT to one process")
    running = Watching("cache", tmp_path / "cache", tree, *options)
    yield running
    running.process.kill()
    running.process.wait()
    assert running.process.stdout is not None
    running.process.stdout.close()


def test_each_change_is_cached_until_an_interrupt(
    tmp_path: Path, tree: Path, watching: Watching
) -> None:
    assert "cached order: " in "\n".join(watching.until("watching"))
    (tree / "claim.bpmn").write_bytes((EXAMPLES / "claim.bpmn").read_bytes())
    lines = watching.until("1 cached, 2 unchanged")
    assert any(line.startswith("cached Claim: 14 processes") for line in lines)
    assert not any(line.startswith("unchanged") for line in lines)
    before = ElementUnits.open(tmp_path / "cache", "order").digest
    text = (tree / "orders.bpmn").read_text(encoding="utf-8")
    (tree / "orders.bpmn").write_text(text.replace("Compute the price", "Price"), encoding="utf-8")
    watching.until("1 cached, 2 unchanged")
    assert ElementUnits.open(tmp_path / "cache", "order").digest != before
    watching.process.send_signal(signal.SIGINT)
    assert watching.process.wait() == 0


def test_a_bad_file_does_not_end_it(tree: Path, watching: Watching) -> None:
    watching.until("watching")
    (tree / "bad.bpmn").write_text("<", encoding="utf-8")
    assert any("bad.bpmn: it is not XML" in line for line in watching.until("1 failed"))
    (tree / "bad.bpmn").write_bytes((EXAMPLES / "claim.bpmn").read_bytes())
    watching.until("1 cached, 2 unchanged, 0 failed")


@pytest.mark.parametrize("options", [("--process", "order", "--key", "mine")])
def test_a_file_that_does_not_go_with_the_options_does_not_end_it(
    tree: Path, watching: Watching
) -> None:
    watching.until("watching")
    (tree / "more.json").write_text('{"spec": {}}', encoding="utf-8")
    watching.until("--key is for one workflow, and there are 2; use --key-template")
    (tree / "more.json").unlink()
    text = (tree / "orders.bpmn").read_text(encoding="utf-8")
    (tree / "orders.bpmn").write_text(text.replace("Compute the price", "Price"), encoding="utf-8")
    watching.until("1 cached, 0 unchanged, 0 failed")


def test_what_is_no_folder_of_models_is_not_watched(tmp_path: Path, tree: Path) -> None:
    says = failing("cache", tmp_path / "cache", "--watch", "-", code=2)
    assert "--watch needs files or folders" in says
    says = failing("cache", tmp_path / "cache", tree, "--watch", "--json", code=2)
    assert "--watch cannot be used with --json" in says
    pytest.importorskip("watchfiles")
    says = failing("cache", tmp_path / "cache", tree, "--watch", "--key", "mine", code=2)
    assert "--key is for one workflow, and there are 2" in says


def test_without_watchfiles_it_says_how_to_install_it(tmp_path: Path, tree: Path) -> None:
    program = lacking("watchfiles")
    says = failing("cache", tmp_path / "cache", tree, "--watch", program=program)
    assert "--watch needs watchfiles: pip install 'watchfiles>=1'" in says
