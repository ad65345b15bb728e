"""`cache --watch` of the command: a developer's folder of models, cached at each change."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import EXAMPLES, failing, lacking
from watching import Watching

from spiff_element_units import ElementUnits


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
    running.stop()


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
