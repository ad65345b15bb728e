"""`diff` of the command: which versions it takes, what it prints, and its exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from command import EXAMPLES, TOP, command, failing, fill, plain, terminal

from spiff_element_units import ElementUnits
from spiff_element_units.diff import told

CLAIM = EXAMPLES / "claim.bpmn"


def edited(text: str) -> str:
    """The second version of the model of claims."""
    for old, new in [
        ("amount &gt; 5000", "amount &gt; 3000"),
        ('policy = {"limit": 10000}', 'policy = {"limit": 20000}'),
        ('id="Legal_letter"', 'id="Letter"'),
        ('calledElement="Legal_letter"', 'calledElement="Letter"'),
        ('name="Talk to claimant"', 'name="Call the claimant"'),
        (
            '<bpmn:manualTask id="visit_site" name="Visit site"/>',
            '<bpmn:userTask id="go" name="Go"/>',
        ),
        ('"visit_site"', '"go"'),
    ]:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both versions of the model, and a cache of them."""
    made = tmp_path_factory.mktemp("diff")
    (made / "old").mkdir()
    (made / "new").mkdir()
    text = CLAIM.read_text(encoding="utf-8")
    (made / "old" / "claim.bpmn").write_text(text, encoding="utf-8")
    (made / "new" / "claim.bpmn").write_text(edited(text), encoding="utf-8")
    for version in ("old", "new"):
        fill(made, made / version, "--key", version)
    return made


def test_diff_shows_processes_and_their_elements(folder: Path) -> None:
    done = command("diff", folder / "cache", "old", "new")
    assert done.code == 1
    rows = [tuple(re.split(r"  +", line.strip(), maxsplit=2)) for line in done.lines[1:-1]]
    assert rows == [
        ("Claim", "changed"),
        ("how_large", "changed",
         "condition of the flow to 'investigate_claim' 'amount > 5000' -> 'amount > 3000'"),
        ("Register", "changed", "within it: check_policy"),
        ("Investigate", "changed", "within it: interview, site_visit"),
        ("Reject", "changed"),
        ("write_rejection", "changed", "process 'Legal_letter' -> 'Letter'"),
        ("check_policy", "changed"),
        ("find_policy", "changed",
         "script 'policy = {\"limit\": 10000}' -> 'policy = {\"limit\": 20000}'"),
        ("interview", "changed"),
        ("talk_to_claimant", "changed", "name 'Talk to claimant' -> 'Call the claimant'"),
        ("site_visit", "changed"),
        ("plan_visit", "changed", "flow (outputs)"),
        ("go", "added", "UserTask 'Go'"),
        ("attach_photos", "changed", "flow (inputs)"),
        ("visit_site", "removed", "ManualTask 'Visit site'"),
        ("Letter", "added"),
        ("Legal_letter", "removed"),
    ]  # fmt: skip
    assert done.lines[-1] == "7 processes changed, 1 added, 1 removed, 6 the same"
    elements = [line for line in done.lines[1:-1] if line.startswith("  ")]
    assert len(elements) == 8
    assert done.err == ""


def test_the_json_says_what_the_library_says(folder: Path) -> None:
    done = command("diff", folder / "cache", "old", "new", "--json")
    assert done.code == 1
    shown = json.loads(done.out)
    old, new = (ElementUnits.open(folder / "cache", key) for key in ("old", "new"))
    diff = old.diff(new)

    def listed(fields: tuple) -> list[dict]:
        return [
            {"field": one.field, "kind": one.kind, "old": one.old, "new": one.new} for one in fields
        ]

    assert shown == {
        "same": False,
        "old": {"key": "old", "root": "Claim", "digest": old.digest},
        "new": {"key": "new", "root": "Claim", "digest": new.digest},
        "added": list(diff.added),
        "removed": list(diff.removed),
        "changed": [
            {
                "id": process.process_id,
                "elements": [
                    {
                        "id": one.element_id,
                        "change": one.change,
                        "type": one.typename,
                        "name": one.name,
                        "fields": listed(one.fields),
                    }
                    for one in process.elements
                ],
                "fields": listed(process.fields),
                "within": list(process.within),
            }
            for process in diff.changed
        ],
        "unchanged": list(diff.same),
        "fields": [],
    }
    assert any(one["elements"] for one in shown["changed"])


def test_versions_that_are_the_same_have_the_exit_code_0(folder: Path) -> None:
    done = command("diff", folder / "cache", "old", "old")
    assert (done.code, done.err) == (0, "")
    assert done.lines == ["0 processes changed, 0 added, 0 removed, 14 the same"]
    assert command("diff", folder / "cache", "old", "old", "--json").json["same"] is True


def test_a_failure_has_another_exit_code_than_a_difference(folder: Path, tmp_path: Path) -> None:
    cache = folder / "cache"
    assert "cache key 'ol' is not cached" in failing("diff", cache, "ol", "new", code=2)
    assert "nowhere" in failing("diff", tmp_path / "nowhere.json", cache, code=2)
    assert "there is no folder" in failing("diff", tmp_path / "no", "old", "new", code=2)
    (tmp_path / "bad.json").write_text("{}", encoding="utf-8")
    said = failing("diff", tmp_path / "bad.json", tmp_path / "bad.json", code=2)
    assert 'no "spec"' in said or "spec" in said
    for arguments in ([], ["one"], ["one", "two", "three", "four"], ["a", "b", "--no-such"]):
        assert "see spiff-element-units diff --help" in failing("diff", *arguments, code=2)
    (path,) = [one for one in cache.rglob("*.pack") if b'"Letter"' in one.read_bytes()]
    copied = tmp_path / "cache"
    damaged = copied / path.relative_to(cache)
    for one in cache.rglob("*.pack"):
        target = copied / one.relative_to(cache)
        target.parent.mkdir(parents=True)
        target.write_bytes(one.read_bytes())
    damaged.write_bytes(path.read_bytes().replace(b'"Letter"', b'"Latter"'))
    assert "damaged" in failing("diff", copied, "old", "new", code=2)


@pytest.mark.parametrize(
    ("old", "new"),
    [("old", "new"), ("old/claim.bpmn", "new/claim.bpmn"), ("old", "new/claim.bpmn")],
)
def test_diff_takes_bpmn_files_and_folders(folder: Path, old: str, new: str) -> None:
    expected = command("diff", folder / "cache", "old", "new")
    assert command("diff", folder / old, folder / new) == expected


def test_the_names_of_two_files_do_not_count(folder: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "claim-2.bpmn"
    renamed.write_bytes(CLAIM.read_bytes())
    assert command("diff", CLAIM, renamed).code == 0


def test_a_file_finds_its_decisions_beside_it(tmp_path: Path) -> None:
    pytest.importorskip("lxml")
    for name in ("business_rule.bpmn", "fare.dmn"):
        (tmp_path / name).write_bytes((TOP / "tests" / "bpmn" / name).read_bytes())
    old = tmp_path / "business_rule.bpmn"
    assert command("diff", old, old).code == 0
    (tmp_path / "new").mkdir()
    fare = (tmp_path / "fare.dmn").read_text(encoding="utf-8")
    (tmp_path / "new" / "fare_2.dmn").write_text(fare, encoding="utf-8")
    new = Path(shutil.copy(old, tmp_path / "new"))
    assert command("diff", old, new).code == 0
    (tmp_path / "new" / "fare_2.dmn").write_text(fare.replace("12", "14"), encoding="utf-8")
    done = command("diff", old, new)
    assert done.code == 1, done.err
    page = tmp_path / "page.html"
    done = command("graph", new, "--against", old, "--format", "html", "-o", page)
    assert done.code == 0, done.err


def test_diff_takes_spec_json_and_standard_input(folder: Path, tmp_path: Path) -> None:
    paths = []
    for key in ("old", "new"):
        units = ElementUnits.open(folder / "cache", key)
        paths.append(tmp_path / f"{key}.json")
        paths[-1].write_text(units.workflow("Claim", defer="nothing"), encoding="utf-8")
    done = command("diff", *paths)
    expected = command("diff", folder / "cache", "old", "new")
    assert (done.code, done.out) == (1, expected.out)
    text = paths[1].read_text(encoding="utf-8")
    assert command("diff", paths[0], "-", input=text) == done


def test_the_root_of_bpmn_files_is_chosen_with_process(folder: Path) -> None:
    both = folder / "old", folder / "new"
    done = command("diff", *both, "--process", "Settle")
    assert (done.code, done.lines[-1]) == (
        0,
        "0 processes changed, 0 added, 0 removed, 2 the same",
    )
    assert "no process 'Nobody'" in failing("diff", *both, "--process", "Nobody", code=2)


def test_keys_of_another_root_than_the_one_asked_for_are_not_compared(folder: Path) -> None:
    keys = folder / "cache", "old", "new"
    said = failing("diff", *keys, "--process", "Pay", code=2)
    assert "the root of key 'old' is 'Claim', not 'Pay'; leave out --process" in said
    said = failing("graph", *keys[:2], "--format", "html", "--against", "new", "--process", "Pay")
    assert "the root of key 'new' is 'Claim', not 'Pay'" in said
    assert command("diff", *keys, "--process", "Claim") == command("diff", *keys)


def test_a_folder_without_models_is_told_apart_from_a_cache(folder: Path) -> None:
    said = failing("diff", folder / "cache", folder / "old", code=2)
    assert "there is no BPMN file in the folder" in said
    assert "diff CACHE_DIR OLD NEW" in said


@pytest.mark.parametrize("columns", [60, 110])
def test_a_narrow_terminal_wraps_what_has_changed(folder: Path, columns: int) -> None:
    done = terminal("diff", folder / "cache", "old", "new", columns=columns)
    assert done.code == 1
    lines = plain(done.out).splitlines()
    assert all(len(line) <= columns for line in lines)
    assert lines[0].split() == ["process,", "element", "change", "what"]
    assert any(line.startswith("  talk_to_claimant   changed   name") for line in lines)
    whole = " ".join("\n".join(lines).split())
    assert ("'amount > 5000' -> 'amount > 3000'" in whole) or columns == 60
    assert lines[-1] == "7 processes changed, 1 added, 1 removed, 6 the same"


def test_ids_and_values_do_not_control_a_terminal(tmp_path: Path) -> None:
    def write(name: str, script: str, task: str) -> Path:
        tasks = {task: {"typename": "ScriptTask", "script": script}, "T": {"typename": script}}
        spec = {"name": "p\x1b[2J", "typename": "BpmnProcessSpec", "task_specs": tasks}
        path = tmp_path / name
        text = json.dumps({"spec": spec, "subprocess_specs": {}, "by": script})
        path.write_text(text, encoding="utf-8")
        return path

    paths = write("a.json", "\x1b[31m", "\x9b1"), write("b.json", "\x9b31m\u202e", "\x1b")
    for done in (command("diff", *paths), terminal("diff", *paths)):
        assert done.code == 1
        shown = plain(done.out)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown)
        assert "\\x1b" in shown


def test_what_of_the_workflow_has_changed_is_told(tmp_path: Path) -> None:
    paths = []
    for version in ("1.0", "2.0"):
        spec = {"name": "A", "typename": "BpmnProcessSpec", "task_specs": {}}
        paths.append(tmp_path / f"{version}.json")
        text = json.dumps({"spec": spec, "subprocess_specs": {}, "version": version})
        paths[-1].write_text(text, encoding="utf-8")
    done = command("diff", *paths)
    assert done.code == 1
    assert done.lines == [
        "the workflow: version '1.0' -> '2.0'",
        "0 processes changed, 0 added, 0 removed, 1 the same",
    ]
    old, new = (ElementUnits.from_json(path.read_bytes()) for path in paths)
    assert told(old.diff(new).fields) in done.out


def test_the_shell_completes_the_keys_of_the_cache(folder: Path) -> None:
    def completed(*words: object) -> str:
        line = " ".join(map(str, ["spiff-element-units", "diff", *words]))
        return command(
            _SPIFF_ELEMENT_UNITS_COMPLETE="bash_complete",
            COMP_WORDS=line,
            COMP_CWORD=str(len(words) + 1),
        ).out

    assert completed(folder / "cache", "o").split() == ["plain,old"]
    assert completed(folder / "cache", "old", "n").split() == ["plain,new"]
    assert completed(str(folder) + os.sep).startswith("file,")
