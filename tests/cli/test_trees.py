"""`cache` of the command on folders that contain bad files.

There is a file for each way in which a real file is bad. The command names a bad file once, and
caches all others.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import models
import pytest
from command import EXAMPLES, TOP, command, failing, plain, terminal
from written import MODEL, call, decide, process, write

from spiff_element_units import ElementUnits, cache_keys

pytest.importorskip("lxml")

BPMN = TOP / "tests" / "bpmn"
DMN = "https://www.omg.org/spec/DMN/20191111/MODEL/"
FARE = (BPMN / "fare.dmn").read_text(encoding="utf-8")


def keys(cache: Path) -> list[str]:
    return [one.cache_key for one in cache_keys(cache)]


def write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


SIMPLE = "<manualTask />"

BAD = {
    "empty.bpmn": "",
    "cut.bpmn": f'<definitions xmlns="{MODEL}"><process id="cut"',
    "no start.bpmn": f'<definitions xmlns="{MODEL}"><process id="nostart" isExecutable="true"/>'
    "</definitions>",
    "store.bpmn": f'<definitions xmlns="{MODEL}"><dataStore id="d" name="Shelf"/></definitions>',
    "position.bpmn": f'<definitions xmlns="{MODEL}" '
    'xmlns:d="http://www.omg.org/spec/BPMN/20100524/DI" '
    'xmlns:c="http://www.omg.org/spec/DD/20100524/DC">'
    '<d:BPMNShape bpmnElement="a"><c:Bounds x="left" y="1"/></d:BPMNShape></definitions>',
    "no id.bpmn": f'<definitions xmlns="{MODEL}">{process("gone")}</definitions>'.replace(
        ' id="gone"', ""
    ),
    "message.bpmn": f'<definitions xmlns="{MODEL}"><message name="nameless"/></definitions>',
    "no decision.dmn": f'<definitions xmlns="{DMN}"/>',
    "no table.dmn": f'<definitions xmlns="{DMN}"><decision id="t" name="T">'
    '<literalExpression id="l"/></decision></definitions>',
    "no id.dmn": FARE.replace('<rule id="fare_child">', "<rule>"),
    "short.dmn": FARE.replace(
        '<output id="fare_price" label="Price" name="price" typeRef="integer"/>', ""
    ),
    "other.dmn": FARE.replace("<rule ", "<annotation/><rule ", 1),
    "two.dmn": FARE.replace("</definitions>", '<decision id="second"/></definitions>'),
}
if models.SPIFF_VERSION < (3, 2):
    del BAD["position.bpmn"]  # such a version reads it later
BAD = {name: text.replace("fare_table", Path(name).stem) for name, text in BAD.items()}
"""Files that cannot be read, each in another way; SpiffWorkflow's parsers raise seven types."""


def test_each_bad_file_is_named_once_and_everything_else_is_cached(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for number in range(25):
        write(tree / f"folder {number % 5}" / f"good {number}.bpmn", process(f"good_{number}"))
    for number, (name, text) in enumerate(BAD.items()):
        write_text(tree / f"folder {number % 5}" / name, text)
    done = command("cache", tmp_path / "cache", tree)
    assert done.code == 1
    lines = done.err.splitlines()
    assert len(lines) == len(BAD)
    for name in BAD:
        (line,) = [line for line in lines if f"{os.sep}{name}: " in line]
        assert "Traceback" not in line
    assert sorted(keys(tmp_path / "cache")) == sorted(f"good_{number}" for number in range(25))
    assert done.lines[-1] == f"25 cached, 0 unchanged, {len(BAD)} failed (1 workflow not cached)"


@pytest.mark.parametrize("name", sorted(BAD))
@pytest.mark.parametrize("each", ["tree", "folder", "file"])
def test_a_bad_file_is_no_traceback_however_files_are_grouped(
    tmp_path: Path, name: str, each: str
) -> None:
    write_text(tmp_path / "tree" / name, BAD[name])
    write(tmp_path / "tree" / "good.bpmn", process("good"))
    done = command("cache", tmp_path / "cache", tmp_path / "tree", "--each", each)
    (line,) = done.err.splitlines()
    assert f"{os.sep}{name}: " in line
    assert len(keys(tmp_path / "cache")) == 1


def test_the_same_workflows_are_cached_with_and_without_bad_files(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "tree")
    command("cache", tmp_path / "tidy", tmp_path / "tree")
    for name, text in BAD.items():
        write_text(tmp_path / "tree" / name, text)
    command("cache", tmp_path / "untidy", tmp_path / "tree")
    digests = [
        {one.cache_key: one.digest for one in cache_keys(tmp_path / name)}
        for name in ("tidy", "untidy")
    ]
    assert digests[0] == digests[1]
    assert len(digests[0]) == 3


def test_a_bad_file_names_the_workflows_that_need_it_and_says_no_more(tmp_path: Path) -> None:
    write_text(tmp_path / "tree" / "bad.dmn", FARE.replace('<rule id="fare_child">', "<rule>"))
    write_text(tmp_path / "tree" / "broken.bpmn", '<process id="lost"')
    for number in range(5):
        write(
            tmp_path / "tree" / f"r{number}.bpmn", process(f"ruled_{number}", decide("fare_table"))
        )
    write(tmp_path / "tree" / "calls.bpmn", process("calls", call("lost")))
    done = command("cache", tmp_path / "cache", tmp_path / "tree")
    assert len(done.err.splitlines()) == 2
    assert "bad.dmn: SpiffWorkflow cannot read it (KeyError: 'id')" in done.err
    assert "; not cached for it: ruled_0, ruled_1, ruled_2 and 2 more workflows" in done.err
    assert "; not cached for it: calls" in done.err
    assert done.lines[-1] == "0 cached, 0 unchanged, 2 failed (6 workflows not cached)"
    failed = json.loads(command("cache", tmp_path / "c", tmp_path / "tree", "--json").out)["failed"]
    assert {Path(one["file"]).name: len(one["workflows"]) for one in failed} == {
        "bad.dmn": 5,
        "broken.bpmn": 1,
    }


def test_a_process_that_cannot_be_parsed_is_named_once_for_all_that_call_it(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    write(tree / "shared.bpmn", process("shared", decide("nowhere")))
    for number in range(3):
        write(tree / f"caller {number}.bpmn", process(f"caller_{number}", call("shared")))
    write(tree / "other.bpmn", process("other"))
    done = command("cache", tmp_path / "cache", tree)
    (line,) = done.err.splitlines()
    assert "shared.bpmn: process shared: No DMN Diagram available" in line
    assert line.endswith("; not cached for it: caller_0, caller_1, caller_2")
    assert keys(tmp_path / "cache") == ["other"]


def test_the_file_of_a_bad_embedded_subprocess_is_named(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    caller = write(tree / "caller.bpmn", process("caller", call("called")))
    inner = process("inner", decide("fare_table"))
    embedded = inner.replace('<process id="inner" isExecutable="true">', "<subProcess >")
    write(tree / "called.bpmn", process("called", embedded.replace("</process>", "</subProcess>")))
    assert "called.bpmn': process 'called_0': No DMN Diagram" in failing("show", caller)
    (line,) = command("cache", tmp_path / "cache", tree).err.splitlines()
    assert "called.bpmn: process called_0: No DMN Diagram" in line
    assert line.endswith("; not cached for it: caller")
    write_text(tree / "fare.dmn", FARE.replace('<rule id="fare_child">', "<rule>"))
    (line,) = command("cache", tmp_path / "cache", tree).err.splitlines()
    assert "fare.dmn: SpiffWorkflow cannot read it (KeyError: 'id'); not cached for it: " in line


@pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")
def test_a_file_that_cannot_be_opened_is_named_by_its_reason(tmp_path: Path) -> None:
    write(tmp_path / "good.bpmn", process("good"))
    (tmp_path / "loop.bpmn").symlink_to("loop.bpmn")
    (line,) = command("cache", tmp_path / "cache", tmp_path).err.splitlines()
    assert "loop.bpmn: " in line
    assert keys(tmp_path / "cache") == ["good"]


def test_files_without_an_executable_process_are_counted(tmp_path: Path) -> None:
    write(tmp_path / "tree" / "drawn.bpmn", process("drawn", executable=False))
    write(tmp_path / "tree" / "none.bpmn")
    assert "isExecutable" in failing("cache", tmp_path / "cache", tmp_path / "tree")
    write(tmp_path / "tree" / "good.bpmn", process("good"))
    done = command("cache", tmp_path / "cache", tmp_path / "tree")
    assert done.code == 0
    assert done.lines[-1].endswith(", 2 BPMN files skipped: no executable process")
    says = failing("cache", tmp_path / "cache", tmp_path / "tree", "--process", "drawn")
    assert says.endswith(
        "drawn.bpmn: process drawn: Process drawn is not executable. (element 'drawn')"
    )


def test_the_workflow_of_a_collaboration_is_that_of_its_file(tmp_path: Path) -> None:
    write(tmp_path / "tree" / "a.bpmn", process("a"))
    participant = '<participant id="b_pool" processRef="b"/>'
    both = f'<collaboration id="both">{participant}</collaboration>'
    write(tmp_path / "tree" / "b.bpmn", process("b"), both)
    fill = ("cache", tmp_path / "cache", tmp_path / "tree", "--process", "both")
    (made,) = command(*fill, "--key-template", "{name}", "--json").json["workflows"]
    assert (made["key"], Path(made["file"]).name) == ("b", "b.bpmn")


# Many models in one tree


def tree_of(folder: Path, files: Iterable[tuple[str, str]]) -> Path:
    for path, text in files:
        write(folder / path, text)
    return folder


def test_files_that_agree_are_one_model_and_that_is_told(tmp_path: Path) -> None:
    tree = tree_of(
        tmp_path / "tree",
        [("a/one.bpmn", process("one", call("two"))), ("b/two.bpmn", process("two"))],
    )
    done = command("cache", tmp_path / "cache", tree)
    assert done.lines[0].startswith("all BPMN and DMN files are one model: ")
    assert keys(tmp_path / "cache") == ["one"]
    assert command("cache", tmp_path / "cache", tree, "--json").json["each"] == "tree"


def test_copies_in_other_folders_make_each_folder_a_model(tmp_path: Path) -> None:
    tree = tree_of(
        tmp_path / "tree",
        [
            ("a/one.bpmn", process("one", call("two"))),
            ("a/two.bpmn", process("two")),
            ("b/one.bpmn", process("one", SIMPLE)),
            ("top.bpmn", process("top", call("one"))),
        ],
    )
    done = command("cache", tmp_path / "cache", tree)
    assert done.code == 0, done.err
    assert done.lines[0].startswith("each folder is a model: 'one' is in ")
    assert keys(tmp_path / "cache") == ["a/one", "b/one", "top"]
    assert ElementUnits.open(tmp_path / "cache", "a/one").process_ids == ("one", "two")
    assert "cached top: 1 process" in done.out
    assert "; external: one" in done.out


def test_copies_in_one_folder_make_each_file_a_model(tmp_path: Path) -> None:
    tree = tree_of(
        tmp_path / "tree",
        [
            ("a/v1.bpmn", process("one", decide("fare_table"))),
            ("a/v2.bpmn", process("one", SIMPLE)),
            ("b/v2.bpmn", process("one", SIMPLE)),
        ],
    )
    write_text(tree / "a" / "fare.dmn", FARE)
    write_text(tree / "b" / "fare.dmn", FARE)
    done = command("cache", tmp_path / "cache", tree)
    assert done.code == 0, done.err
    assert done.lines[0].startswith("each BPMN file is a model: 'one' is in ")
    assert keys(tmp_path / "cache") == ["a/v1/one", "a/v2/one", "b/v2/one"]


def test_files_that_are_named_one_by_one_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    tree = tree_of(
        tmp_path / "tree",
        [("a/one.bpmn", process("one")), ("b/one.bpmn", process("one", SIMPLE))],
    )
    files = sorted(tree.rglob("*.bpmn"))
    assert command("cache", tmp_path / "cache", *files).code == 0
    assert keys(tmp_path / "cache") == ["a/one", "b/one"]
    assert command("cache", tmp_path / "one", files[0], "--key-template", "{path}").code == 0
    assert keys(tmp_path / "one") == ["one"]


def test_each_overrides_what_is_chosen(tmp_path: Path) -> None:
    tree = tree_of(
        tmp_path / "tree",
        [("a/one.bpmn", process("one")), ("b/one.bpmn", process("one", SIMPLE))],
    )
    done = command("cache", tmp_path / "cache", tree, "--each", "tree")
    (line,) = done.err.splitlines()
    assert f"b{os.sep}one.bpmn: process 'one' is also in " in line
    assert "--each file" in line
    assert keys(tmp_path / "cache") == ["one"]
    command("cache", tmp_path / "files", tree, "--each", "file")
    assert keys(tmp_path / "files") == ["a/one/one", "b/one/one"]


def test_a_decision_comes_from_wherever_it_is_but_never_from_a_choice(tmp_path: Path) -> None:
    tree = tree_of(tmp_path / "tree", [("a/one.bpmn", process("one", decide("fare_table")))])
    write_text(tree / "rules" / "fare.dmn", FARE)
    for each in ("tree", "folder", "file"):
        done = command("cache", tmp_path / each, tree, "--each", each)
        assert done.code == 0, done.err
    write_text(tree / "more rules" / "fare.dmn", FARE)
    assert "No DMN" in command("cache", tmp_path / "two", tree, "--each", "folder").err
    write_text(tree / "a" / "fare.dmn", FARE)
    assert command("cache", tmp_path / "near", tree, "--each", "file").code == 0


# process_model.json, which Spiff Arena writes


def model_json(folder: Path, **said: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"display_name": "A model", **said})
    (folder / "process_model.json").write_text(text, encoding="utf-8")


def test_a_process_model_names_its_root(tmp_path: Path) -> None:
    tree = tree_of(
        tmp_path / "tree",
        [
            ("pay/salary/main.bpmn", process("main", call("sub"), call("elsewhere"))),
            ("pay/salary/sub.bpmn", process("sub")),
            ("pay/salary/parts/aside.bpmn", process("aside")),
            ("pay/bonus/main.bpmn", process("bonus") + process("unused")),
            ("loose/one.bpmn", process("one")),
        ],
    )
    model_json(tree / "pay" / "salary", primary_process_id="main", primary_file_name="main.bpmn")
    model_json(tree / "pay" / "bonus", primary_process_id="bonus", fault="unknown")
    done = command("cache", tmp_path / "cache", tree)
    assert done.code == 0, done.err
    assert done.lines[0].startswith("each folder with a process_model.json is a model: ")
    assert keys(tmp_path / "cache") == [
        "loose/one",
        "pay/bonus",
        "pay/bonus/unused",
        "pay/salary",
        "pay/salary/aside",
    ]
    units = ElementUnits.open(tmp_path / "cache", "pay/salary")
    assert units.process_ids == ("main", "sub")


def test_a_process_model_may_name_only_the_file(tmp_path: Path) -> None:
    tree = tree_of(
        tmp_path / "tree",
        [
            ("m/first.bpmn", process("first", call("second"))),
            ("m/second.bpmn", process("second")),
        ],
    )
    model_json(tree / "m", primary_file_name="second.bpmn")
    command("cache", tmp_path / "cache", tree)
    assert keys(tmp_path / "cache") == ["m", "m/first"]
    assert ElementUnits.open(tmp_path / "cache", "m").root == "second"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1", "process_model.json: "),
        ("[]", "process_model.json: it must be a JSON object"),
        ('{"primary_process_id": 3}', "process_model.json: 'primary_process_id' must be a string"),
        ('{"primary_process_id": "gone"}', "'gone', and the BPMN files of the folder have no such"),
    ],
)
def test_a_bad_process_model_is_named_and_its_processes_are_cached(
    tmp_path: Path, text: str, says: str
) -> None:
    tree = tree_of(tmp_path / "tree", [("m/one.bpmn", process("one"))])
    write_text(tree / "m" / "process_model.json", text)
    done = command("cache", tmp_path / "cache", tree)
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert says in line
    assert keys(tmp_path / "cache") == ["m/one"]


# On a terminal


def test_a_terminal_gets_the_bad_files_at_the_end_too(tmp_path: Path) -> None:
    tree = tree_of(tmp_path / "tree", [(f"{one}.bpmn", process(one)) for one in "abc"])
    write_text(tree / "bad.bpmn", "<")
    printed = plain(terminal("cache", tmp_path / "cache", tree).out)
    assert "reading" in printed
    assert "3/3" in printed
    assert printed.index("bad.bpmn: ") > printed.rindex("3/3")
