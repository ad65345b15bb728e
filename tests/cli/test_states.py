"""`check` and `migrate` of the command: saved instances and a new version of their workflow."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from command import command, failing
from version_models import at, loader_of, started

OLD = {
    "root": [("human", "before"), ("call", "call", "claim"), ("human", "after")],
    "claim": [("human", "review"), ("human", "decide")],
}
NEW = {**OLD, "claim": [("human", "review"), ("human", "check"), ("human", "decide")]}
REASON = "process 'claim' has changed, and the instance is in it"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def loaders(cache: Path) -> Any:
    return loader_of(OLD, cache, "v1"), loader_of(NEW, cache, "v2")


@pytest.fixture
def states(tmp_path: Path, loaders: Any) -> Path:
    """A state that continues, one that can be migrated, and one that cannot."""
    old, _ = loaders
    folder = tmp_path / "states"
    (folder / "below").mkdir(parents=True)
    (folder / "start.json").write_text(old.save(started(old)))
    (folder / "below" / "review.json").write_text(old.save(started(old, "before")))
    (folder / "decide.json").write_text(old.save(started(old, "before", "review")))
    (folder / "notes.txt").write_text("no state")
    return folder


def test_check_counts_what_continues_and_says_why_others_do_not(cache: Path, states: Path) -> None:
    done = command("check", cache, "v2", states)
    assert done.code == 1
    lines = done.out.splitlines()
    assert lines[0] == "3 instances: 1 continue, 1 can be migrated, 1 cannot"
    assert any(line.split()[0] == "2" and REASON in line for line in lines)


def test_the_exit_code_of_check_is_for_a_deployment_script(cache: Path, states: Path) -> None:
    assert command("check", cache, "v1", states).code == 0
    assert command("check", cache, "v2", states / "start.json").code == 0
    assert command("check", cache, "v2", states / "below", states / "start.json").code == 3
    assert command("check", cache, "v2", states / "decide.json").code == 1
    assert command("check", cache, "v2", states / "notes.txt").code == 1


def test_check_as_json_names_each_instance(cache: Path, states: Path) -> None:
    found = json.loads(command("check", cache, "v2", states, "--json").out)
    names = {"start": states / "start.json", "review": states / "below" / "review.json"}
    assert found["continue"] == [str(names["start"])]
    assert found["can_be_migrated"] == [str(names["review"])]
    assert found["cannot"] == [str(states / "decide.json")]
    assert found["unreadable"] == []
    of_reason = {one["reason"]: one["states"] for one in found["reasons"]}
    assert sorted(of_reason[REASON]) == sorted([str(names["review"]), str(states / "decide.json")])


def test_states_come_in_lines_too(cache: Path, states: Path, tmp_path: Path) -> None:
    """A line is a state, or a JSON string with a state, as a database exports a column of text."""
    texts = [(states / "start.json").read_text(), (states / "decide.json").read_text()]
    lines = f"{texts[0]}\n\n{json.dumps(texts[1])}\n"
    found = json.loads(command("check", cache, "v2", "-", "--json", input=lines).out)
    assert (found["continue"], found["cannot"]) == (["-:1"], ["-:3"])
    path = tmp_path / "all.jsonl"
    path.write_text(lines)
    assert json.loads(command("check", cache, "v2", path, "--json").out)["cannot"] == [f"{path}:3"]


def test_check_takes_the_live_piece_of_an_instance_in_pieces(
    cache: Path, states: Path, tmp_path: Path, loaders: Any
) -> None:
    live = tmp_path / "live.json"
    live.write_text(loaders[0].split((states / "decide.json").read_text()).changed["live"])
    assert json.loads(command("check", cache, "v2", live, "--json").out)["cannot"] == [str(live)]


def test_migrate_writes_what_it_has_moved_and_leaves_the_states_as_they_are(
    cache: Path, states: Path, tmp_path: Path, loaders: Any
) -> None:
    before = {path: path.read_bytes() for path in states.rglob("*") if path.is_file()}
    done = command("migrate", cache, "v2", states, "--to", tmp_path / "moved")
    assert done.code == 1
    assert "1 instance migrated, 1 continue as they are, 1 cannot be migrated" in done.err
    assert "element 'review' of process 'claim' has changed" in done.err
    moved_to = tmp_path / "moved" / "below" / "review.json"
    assert [path for path in (tmp_path / "moved").rglob("*") if path.is_file()] == [moved_to]
    moved = moved_to.read_text()
    assert at(loaders[1].resume(moved)) == ["review"]
    assert {path: path.read_bytes() for path in before} == before


def test_migrate_passes_states_through_a_pipe(cache: Path, states: Path, loaders: Any) -> None:
    text = (states / "below" / "review.json").read_text()
    done = command("migrate", cache, "v2", "-", input=f"{text}\n")
    assert done.code == 0
    assert at(loaders[1].resume(done.out)) == ["review"]


def test_migrate_does_not_write_over_a_file(cache: Path, states: Path, tmp_path: Path) -> None:
    arguments = ("migrate", cache, "v2", states / "below", "--to", tmp_path / "moved")
    assert command(*arguments).code == 0
    assert "is there already; give another folder" in failing(*arguments)


def test_renamed_elements_are_given_by_an_option(tmp_path: Path, cache: Path, loaders: Any) -> None:
    old = loaders[0]
    renamed = {**OLD, "claim": [("human", "look"), ("human", "decide")]}
    new = loader_of(renamed, cache, "v3")
    state = tmp_path / "state.json"
    state.write_text(old.save(started(old, "before", "review")))
    assert command("check", cache, "v3", state).code == 1
    assert command("check", cache, "v3", state, "--rename", "review=look").code == 3
    options = ("--rename", "review=look", "--to", tmp_path / "moved")
    assert command("migrate", cache, "v3", state, *options).code == 0
    assert at(new.resume((tmp_path / "moved" / "state.json").read_text())) == ["decide"]
    assert "--rename takes OLD=NEW" in failing("check", cache, "v3", state, "--rename", "x", code=2)


@pytest.mark.parametrize("option", ["nothing=decide", "review=nowhere"])
def test_a_renamed_element_that_is_in_no_version_is_told_in_words_of_the_command(
    option: str, tmp_path: Path, cache: Path, loaders: Any
) -> None:
    state = tmp_path / "state.json"
    state.write_text(loaders[0].save(started(loaders[0], "before", "review")))
    options = ("--rename", option, "--to", tmp_path / "moved")
    done = command("migrate", cache, "v2", state, *options)
    assert done.code != 0
    assert "correct the" in done.err
    assert "renamed=" not in done.err


def test_what_is_no_state_is_named(cache: Path, states: Path, tmp_path: Path) -> None:
    found = json.loads(command("check", cache, "v1", states / "notes.txt", "--json").out)
    assert found["unreadable"] == [str(states / "notes.txt")]
    assert "not JSON" in found["reasons"][0]["reason"]
    (tmp_path / "empty").mkdir()
    assert "there is no state" in failing("check", cache, "v1", tmp_path / "empty")


def test_files_of_one_name_in_several_folders_stay_apart(
    cache: Path, states: Path, tmp_path: Path
) -> None:
    (states / "also").mkdir()
    shutil.copy(states / "below" / "review.json", states / "also" / "review.json")
    lines = (states / "below" / "review.json").read_text()
    (states / "also" / "all.jsonl").write_text(f"{lines}\n{lines}\n")
    command("migrate", cache, "v2", states, "--to", tmp_path / "moved")
    written = {
        path.relative_to(tmp_path / "moved") for path in (tmp_path / "moved").rglob("*.json")
    }
    folder = Path("also")
    assert written == {
        *(folder / "review.json", folder / "all-1.json", folder / "all-2.json"),
        Path("below") / "review.json",
    }


@pytest.mark.parametrize("content", [b"\xff\xfe", b'{"root": "\xed\xa0\x80"}', b"[]", b""])
def test_a_file_that_is_no_text_is_one_state_that_cannot_be_read(
    cache: Path, states: Path, content: bytes
) -> None:
    (states / "below" / "review.json").write_bytes(content)
    found = json.loads(command("check", cache, "v2", states, "--json").out)
    assert found["unreadable"] == [str(states / "below" / "review.json")]
    assert found["continue"] == [str(states / "start.json")]
