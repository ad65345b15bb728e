"""`cache --keep-source`, and the diagrams of a cached workflow in `graph --format html`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from command import EXAMPLES, command, failing
from paged import data_of
from written import call, process, script, write

HINT = "For diagrams, cache its BPMN files with --keep-source."


@pytest.fixture(params=["folder", "store"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "cache")
    pytest.importorskip("sqlalchemy")
    return f"sqlite:///{tmp_path / 'store.db'}"


def done(*arguments: object) -> None:
    finished = command(*arguments)
    assert finished.code == 0, finished.err


def data(*arguments: object) -> Any:
    """The data in a page."""
    page = command("graph", *arguments, "--format", "html")
    assert page.code == 0, page.err
    return data_of(page.out)


def test_the_page_of_a_cached_workflow_has_the_diagrams_of_its_file(cache: str) -> None:
    done("cache", cache, EXAMPLES / "claim.bpmn", "--keep-source")
    page = data(cache, "Claim")
    assert page["diagrams"] == data(EXAMPLES / "claim.bpmn", "--process", "Claim")["diagrams"]
    assert len(page["diagrams"]) == 1
    assert page["hint"] == ""


def test_without_a_kept_source_the_page_says_how_to_get_diagrams(cache: str) -> None:
    done("cache", cache, EXAMPLES / "claim.bpmn")
    page = data(cache, "Claim")
    assert (page["diagrams"], page["hint"]) == ([], HINT)
    assert data(EXAMPLES / "claim.bpmn")["hint"] == ""


def test_an_unchanged_workflow_gets_its_source_too_and_keeps_it(cache: str) -> None:
    model = EXAMPLES / "claim.bpmn"
    done("cache", cache, model)
    again = command("cache", cache, model, "--keep-source", "--json").json
    assert (again["cached"], again["unchanged"]) == (0, 1)
    assert len(data(cache, "Claim")["diagrams"]) == 1
    done("cache", cache, model)
    assert len(data(cache, "Claim")["diagrams"]) == 1


def test_a_key_that_is_cached_anew_does_not_show_the_old_diagram(
    cache: str, tmp_path: Path
) -> None:
    model = write(tmp_path / "m.bpmn", process("root", script("x = 1")))
    done("cache", cache, model, "--keep-source")
    assert "x = 1" in data(cache, "root")["diagrams"][0]
    write(model, process("root", script("x = 2")))
    done("cache", cache, model)
    assert data(cache, "root")["diagrams"] == []
    done("cache", cache, model, "--keep-source")
    assert "x = 2" in data(cache, "root")["diagrams"][0]
    done("rm", cache, "root")
    done("cache", cache, model)
    assert data(cache, "root")["diagrams"] == []


def test_a_workflow_keeps_only_the_files_that_its_processes_are_in(
    cache: str, tmp_path: Path
) -> None:
    write(tmp_path / "m" / "a.bpmn", process("a", call("shared")))
    write(tmp_path / "m" / "b.bpmn", process("b", call("shared")))
    write(tmp_path / "m" / "shared.bpmn", process("shared"))
    done("cache", cache, tmp_path / "m", "--keep-source")
    texts = data(cache, "a")["diagrams"]
    assert [re.findall('process id="(.*?)"', text) for text in texts] == [["a"], ["shared"]]
    assert not any(str(tmp_path) in text for text in texts)


def test_diagrams_of_called_workflows_are_on_the_page(cache: str, tmp_path: Path) -> None:
    write(tmp_path / "tree" / "a" / "shop.bpmn", process("shop", call("pay")))
    write(tmp_path / "tree" / "b" / "pay.bpmn", process("pay", script("paid = 1")))
    done("cache", cache, tmp_path / "tree", "--each", "folder", "--keep-source")
    texts = data(cache, "a/shop")["diagrams"]
    assert [re.findall('process id="(.*?)"', text) for text in texts] == [["shop"], ["pay"]]


def test_a_state_and_a_comparison_are_shown_with_the_kept_diagrams(
    cache: str, tmp_path: Path
) -> None:
    model = write(tmp_path / "m.bpmn", process("root", script("x = 1"), "<manualTask />"))
    done("cache", cache, model, "--keep-source", "--key", "old")
    write(model, process("root", script("x = 2"), "<manualTask />"))
    done("cache", cache, model, "--keep-source", "--key", "new")
    state = tmp_path / "states" / "one.json"
    state.parent.mkdir()
    command("run", cache, "new", "--state", state)
    for option in (("--state", state), ("--states", state.parent)):
        page = data(cache, "new", *option)
        assert page["instances"]["total"] == 1
        assert "x = 2" in page["diagrams"][0]
    page = data(cache, "new", "--against", "old")
    assert page["against"]["title"] == "old"
    (text,) = page["diagrams"]
    assert "x = 2" in text


def test_keep_source_is_for_bpmn_files(cache: str, tmp_path: Path) -> None:
    spec = tmp_path / "w.json"
    spec.write_text('{"spec": {"name": "w", "task_specs": {}}, "subprocess_specs": {}}')
    error = failing("cache", cache, spec, "--keep-source", code=2)
    assert "--keep-source is for BPMN files" in error
