"""The command in odd surroundings: closed streams, pipes among the files, odd names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command import COMMAND, EXAMPLES, command, environment, failing, fill, plain, terminal

only_posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("cli"), EXAMPLES)


@only_posix
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_the_command_works_without_a_standard_stream(cache: Path, closed: str) -> None:
    """Services and cron jobs may be started with closed streams. Python has None for them."""
    for arguments in (["ls", cache], ["run", cache, "order", "--data", "{}"], ["--version"]):
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, *map(str, arguments)],
            env=environment(),
            input="",
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), arguments
        printed = "" if ">&-" in closed.replace("2>&-", "") else command(*arguments).out
        assert done.stdout == printed


@only_posix
def test_a_pipe_in_a_folder_is_not_read(tmp_path: Path) -> None:
    """Nobody may ever write into it. A pipe that is named as a file is read."""
    shutil.copy(EXAMPLES / "claim.bpmn", tmp_path)
    os.mkfifo(tmp_path / "pipe.bpmn")
    os.mkfifo(tmp_path / "pipe.json")
    arguments = [*COMMAND, "cache", str(tmp_path / "cache"), str(tmp_path)]
    subprocess.run(arguments, env=environment(), check=True, timeout=20)
    os.unlink(tmp_path / "pipe.bpmn")
    states = [*COMMAND, "check", str(tmp_path / "cache"), "Claim", str(tmp_path)]
    done = subprocess.run(
        states, env=environment(), check=False, timeout=120, capture_output=True, text=True
    )
    assert "there is no state" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="needs names that are not UTF-8")
def test_a_model_whose_name_is_not_utf_8_is_named_with_the_way_out(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"claim-\xff.bpmn")
    shutil.copy(EXAMPLES / "claim.bpmn", path)
    shutil.copy(EXAMPLES / "orders.bpmn", tmp_path)
    said = failing("show", os.fsdecode(path))
    assert "claim-\\udcff.bpmn" in said
    assert "its name is not UTF-8" in said
    assert "rename" in said
    done = command("cache", tmp_path / "cache", tmp_path)
    assert (done.code, "cached order:" in done.out) == (1, True)
    assert "its name is not UTF-8" in done.err


@only_posix
def test_a_terminal_without_a_width_gets_all_of_a_table(cache: Path) -> None:
    known = plain(terminal("ls", cache, columns=80).out)
    assert "Claim" in known
    assert plain(terminal("ls", cache, COLUMNS="0").out) == known


def test_a_wrong_number_of_values_refers_to_the_help_of_the_command(cache: Path) -> None:
    said = failing("graph", cache, "Claim", "--unit", "Claim", code=2)
    assert said.endswith("see spiff-element-units graph --help")


def test_a_folder_for_the_state_must_be_there_before_the_run(cache: Path, tmp_path: Path) -> None:
    """Otherwise the instance would run, and its state would be lost."""
    state = tmp_path / "missing" / "order.state"
    done = command("run", cache, "order", "--state", state)
    assert (done.code, done.out) == (1, "")
    assert f"there is no folder {str(state.parent)!r}" in done.err
    assert "create it" in done.err


def test_the_file_for_the_state_must_be_writable_before_the_run(
    cache: Path, tmp_path: Path
) -> None:
    """The name fits into a folder, but that of the file that is written first does not."""
    done = command("run", cache, "order", "--state", tmp_path / f"{'order' * 50}.txt")
    assert (done.code, done.out) == (1, "")
    assert "File name too long" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_dmn_file_is_no_workflow_and_the_message_says_so(tmp_path: Path) -> None:
    """It was read as JSON."""
    path = tmp_path / "prices.dmn"
    path.write_text("<definitions/>", encoding="utf-8")
    for name in ("show", "unit", "graph", "run"):
        said = failing(name, path)
        assert f"{str(path)!r} is a DMN file" in said
        assert "name a BPMN file" in said


@only_posix
def test_a_state_of_a_folder_that_cannot_be_read_does_not_end_the_command(
    cache: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "states"
    folder.mkdir()
    command("run", cache, "order", "--state", folder / "good.json")
    (folder / "bad.json").symlink_to("nowhere")
    bad = str(folder / "bad.json")
    done = command("check", cache, "order", folder, "--json")
    assert done.code == 1
    said = json.loads(done.out)
    assert (said["continue"], said["unreadable"]) == ([str(folder / "good.json")], [bad])
    assert said["reasons"] == [{"reason": "No such file or directory", "states": [bad]}]
    done = command("migrate", cache, "order", folder, "--to", tmp_path / "moved", "--json")
    assert done.code == 1
    said = json.loads(done.out)
    assert said["continue"] == [str(folder / "good.json")]
    assert said["failed"] == [{"state": bad, "reason": "No such file or directory"}]
    page = ("--format", "html", "-o", tmp_path / "page.html")
    said = failing("graph", cache, "order", "--states", folder, *page)
    assert f"{bad!r}: No such file or directory" in said


def test_a_graph_is_never_of_another_root_than_the_one_asked_for(cache: Path) -> None:
    file = EXAMPLES / "claim.bpmn"
    for place in ((file,), (cache, "Claim")):
        assert "no process 'nope'" in failing("graph", *place, "--process", "nope")
    said = failing("graph", cache, "Claim", "--process", "Pay")
    assert "the root of key 'Claim' is 'Claim', not 'Pay'" in said
    assert "not 'check_policy'" in failing("graph", file, "--process", "check_policy")
    same = command("graph", cache, "Claim", "--process", "Claim")
    assert (same.code, same.out) == (0, command("graph", cache, "Claim").out)
