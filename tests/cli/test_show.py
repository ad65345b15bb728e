"""`show` and `unit` of the command, and the paths that explain what a unit contains."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import models
import pytest
from command import EXAMPLES, TOP, command, failing, fill, plain, terminal, wide
from hypothesis import assume, given
from hypothesis import strategies as st
from spiff_bpmn import spec_json
from strategies import defers, texts

from spiff_element_units import ElementUnits, UnitNotFound
from spiff_element_units.cli._facts import Facts, fold
from spiff_element_units.cli._paths import paths

BPMN = TOP / "tests" / "bpmn"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("show"), EXAMPLES)


# show


def test_show_is_a_tree_of_processes_indented_in_a_pipe(cache: Path) -> None:
    done = command("show", cache, "Claim")
    assert done.code == 0
    names = [re.match(r"( *)(\S+)", line).groups() for line in done.lines[1:-1]]
    assert names[:3] == [("", "Claim"), ("  ", "Register"), ("    ", "check_policy")]
    assert "embedded by check_policy" in done.lines[3]
    assert "called by settle_large_claim, settle_small_claim" in done.out
    assert done.lines[-2].split()[-1] == "again"
    assert "the largest start unit is that of Investigate" in done.lines[-1]


def test_what_show_says_adds_up(cache: Path) -> None:
    shown = command("show", cache, "Claim", "--json").json
    units = ElementUnits.open(cache, "Claim")
    assert shown.keys() == {"root", "digest", "bytes", "processes"}
    assert (shown["root"], shown["digest"]) == ("Claim", units.digest)
    assert [one["id"] for one in shown["processes"]] == list(units.process_ids)
    assert shown["bytes"] == sum(one["bytes"] for one in shown["processes"])
    sizes = {one["id"]: one["bytes"] for one in shown["processes"]}
    for one in shown["processes"]:
        spec = json.loads(units.spec_json(one["id"]))
        unit = units.workflow(one["id"])
        held = units.needs(one["id"])
        assert one == {
            "id": one["id"],
            "from": None,
            "tasks": len(spec["task_specs"]),
            "bytes": len(units.spec_json(one["id"])),
            "share": round(one["bytes"] / shown["bytes"], 6),
            "start_unit": {
                "bytes": len(unit.encode()),
                "share": round(sum(sizes[id] for id in held) / shown["bytes"], 6),
                "processes": len(held),
                "largest": max(held, key=lambda id: len(units.spec_json(id))),
            },
            "references": [reference._asdict() for reference in units.references(one["id"])],
        }


@pytest.mark.parametrize("name", sorted(models.MODELS))
def test_show_shows_every_process_of_a_model(tmp_path: Path, name: str) -> None:
    units = ElementUnits.from_json(models.spec_json(models.MODELS[name]))
    facts = Facts(units)
    folded = fold(facts, facts.tops, 0)
    named = {link.process_id for links in folded.links.values() for link in links}
    assert named | set(facts.tops) >= set(units.process_ids)
    assert not folded.hidden


def test_external_recursive_and_triggered_processes_are_told(tmp_path: Path) -> None:
    processes = {
        "root": [("call", "gone"), ("embed", [("human",)]), ("call", "other")],
        "other": [("call", "third")],
        "third": [("call", "other")],
        "alone": [("human",)],
    }
    path = tmp_path / "model.json"
    path.write_text(spec_json(processes, "root", null=["gone"]), encoding="utf-8")
    lines = command("show", path).lines
    assert any(re.match(r"  gone +called by \S+, external$", line) for line in lines)
    assert any(re.match(r"      other +called by \S+, recursive$", line) for line in lines)
    assert any(re.match(r"alone +nothing leads here", line) for line in lines)
    spec = {"name": "p", "typename": "BpmnProcessSpec", "task_specs": {}}
    start = {"typename": "BpmnStartTask", "trigger_specs": ["q"]}
    root = {**spec, "name": "root", "task_specs": {"Start": start}}
    text = json.dumps({"spec": root, "subprocess_specs": {"q": {**spec, "name": "q"}}})
    assert re.match(r"  q +triggered by Start ", command("show", "-", input=text).lines[2])


def test_a_terminal_gets_guides_and_rounded_sizes(cache: Path) -> None:
    printed = terminal("show", cache, "Claim", columns=160).out
    assert "├─ Register" in plain(printed)
    assert "│  └─ check_policy" in plain(printed)
    assert re.search(r"Claim .* \d\.\d kB ", plain(printed))
    assert "\x1b[1m" in printed


@pytest.mark.parametrize("columns", [30, 50, 80, 110, 132, 200])
def test_a_narrow_terminal_gets_fewer_columns_and_a_whole_tree(cache: Path, columns: int) -> None:
    lines = plain(terminal("show", cache, "Claim", columns=columns).out).splitlines()
    assert all(len(line) <= columns for line in lines)
    assert [line.split()[0] for line in lines[2:5]] == ["Claim", "├─", "│"]
    assert lines[0].split()[0] == "process"
    assert ("largest in it" in lines[0]) == (columns >= 132)
    assert ("how" in lines[0]) == (columns >= 80)
    for caller in ("register_claim", "check_policy", "wait_for_appeal", "settle_large_claim"):
        told = [line for line in lines if f" by {caller}" in line]
        assert len(told) == (columns >= 80)
    sizes = [line for line in lines[2:] if re.search(r"\d\.\d kB", line)]
    assert len(sizes) >= 14


@pytest.mark.parametrize("columns", [60, 80])
def test_a_narrow_terminal_breaks_nothing_inside_a_word(tmp_path: Path, columns: int) -> None:
    units = ElementUnits.from_json(command("unit", EXAMPLES / "claim.bpmn").out)
    for folder in ("liability", "household"):
        units.save(tmp_path, f"insurance/{folder}/registration-of-a-claim/main")
    whole = ElementUnits.from_json(
        command("unit", EXAMPLES / "claim.bpmn", "--defer", "nothing").out
    )
    whole.save(tmp_path, "Claim")
    for arguments in (
        ("ls", tmp_path),
        ("unit", tmp_path, "Claim", "Claim", "order_transfer", "second_opinion", "--explain"),
        ("verify", tmp_path),
        ("show", tmp_path, "Claim"),
    ):
        wide, narrow = (plain(terminal(*arguments, columns=width).out) for width in (250, columns))
        assert all(len(line) <= columns for line in narrow.splitlines())
        assert {one for one in narrow.split() if one[0].isalnum()} <= set(wide.split())


def test_no_share_is_above_all_of_the_workflow(tmp_path: Path) -> None:
    path = tmp_path / "small.json"
    path.write_text(
        '{"spec": {"name": "p", "typename": "P", "task_specs": {}}, "subprocess_specs": {}}',
        encoding="utf-8",
    )
    shares = re.findall(r"(\d+) %", command("show", path).out)
    assert shares == ["100", "100"]
    (one,) = command("show", path, "--json").json["processes"]
    assert one["share"] == one["start_unit"]["share"] == 1
    assert one["start_unit"]["bytes"] > one["bytes"]


def test_show_names_a_file_that_is_no_workflow_and_a_key_that_is_too_much(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost", encoding="utf-8")
    says = failing("show", path)
    assert says.startswith(f"spiff-element-units: {str(path)!r}: the workflow is not JSON: ")
    says = failing("show", path, "Claim", code=2)
    assert f"{str(path)!r} is a file, and only a cache has keys; leave out 'Claim'" in says


def test_a_process_that_is_not_there_is_told_with_those_that_are(cache: Path) -> None:
    for arguments in (
        ("show", cache, "Claim", "--process", "nope"),
        ("unit", cache, "Claim", "nope"),
        ("unit", EXAMPLES / "claim.bpmn", "nope"),
        ("graph", cache, "Claim", "--unit", "nope", "nope"),
    ):
        says = failing(*arguments)
        assert "no process 'nope' in the workflow of 'Claim'; it has: 'Claim', 'Reg" in says
    assert says.endswith(" and 2 more")


def test_show_takes_a_file_of_either_kind_and_standard_input(tmp_path: Path) -> None:
    text = models.spec_json(models.MODELS["nested_calls"])
    path = tmp_path / "spec.json"
    path.write_text(text, encoding="utf-8")
    from_json = command("show", path).out
    assert from_json == command("show", "-", input=text).out
    assert from_json == command("show", BPMN / "nested_calls.bpmn").out
    assert (
        command("show", EXAMPLES / "claim.bpmn", "--process", "Settle")
        .lines[1]
        .startswith("Settle")
    )
    assert "use --process to choose" in failing("show", BPMN / "collaboration.bpmn")


def test_a_large_workflow_is_folded_and_nothing_is_lost() -> None:
    units = wide(10_000)
    facts = Facts(units)
    folded = fold(facts, facts.tops, 60)
    drawn = {link.process_id for links in folded.links.values() for link in links}
    assert len(drawn) <= 60
    hidden = [one for some in folded.hidden.values() for one in some]
    assert len(hidden) == len(set(hidden))
    assert {"root"} | drawn | set(hidden) == set(units.process_ids)


@given(texts(), st.integers(1, 12))
def test_folding_hides_each_process_once_or_shows_it(text: str, limit: int) -> None:
    facts = Facts(ElementUnits.from_json(text))
    folded = fold(facts, facts.tops, limit)
    links = [link for some in folded.links.values() for link in some]
    assert len(links) <= limit
    drawn = {*folded.tops[:limit], *(link.process_id for link in links if not link.external)}
    hidden = [one for some in folded.hidden.values() for one in some]
    assert len(hidden) == len(set(hidden))
    assert not drawn & set(hidden)
    reached = facts.reached(list(folded.tops[:limit]))
    assert drawn | set(hidden) >= set(reached)


def test_show_of_many_processes_is_short_and_all_is_long(tmp_path: Path) -> None:
    wide(3_000).save(tmp_path, "wide")
    done = command("show", tmp_path, "wide")
    assert len(done.lines) < 80
    assert re.search(r"… 2,9\d\d more processes", done.out)
    assert len(command("show", tmp_path, "wide", "--all").lines) > 6_000
    assert len(command("show", tmp_path, "wide", "--json").json["processes"]) == 3_001


def test_a_deep_workflow_is_shown(tmp_path: Path) -> None:
    names = [f"P{number}" for number in range(1_500)]

    def process(name: str, to: str) -> dict:
        tasks = {"go": {"typename": "CallActivity", "spec": to}}
        return {"name": name, "typename": "BpmnProcessSpec", "task_specs": tasks}

    specs = {name: process(name, to) for name, to in zip(names, [*names[1:], "end"])}
    path = tmp_path / "deep.json"
    path.write_text(
        json.dumps({"spec": specs.pop("P0"), "subprocess_specs": specs}), encoding="utf-8"
    )
    assert len(command("show", path, "--all").lines) == 1_503


# unit


def test_unit_writes_the_units_text_to_stdout_or_a_file(cache: Path, tmp_path: Path) -> None:
    unit = ElementUnits.open(cache, "Claim").workflow("Claim", "order_transfer")
    arguments = ("unit", cache, "Claim", "Claim", "order_transfer")
    assert command(*arguments).out == unit + "\n"
    assert command(*arguments, "-o", tmp_path / "unit.json").out == ""
    assert (tmp_path / "unit.json").read_text(encoding="utf-8") == unit
    whole = command("unit", cache, "Claim", "Claim", "--defer", "nothing").json
    assert len(whole["subprocess_specs"]) == 13


def test_unit_takes_a_file_and_starts_the_root_if_no_process_is_named(cache: Path) -> None:
    of_cache = command("unit", cache, "Claim").out
    assert of_cache == command("unit", cache, "Claim", "Claim").out
    of_file = command("unit", EXAMPLES / "claim.bpmn").json
    assert of_file["spec"]["name"] == "Claim"
    assert list(of_file["subprocess_specs"]) == list(json.loads(of_cache)["subprocess_specs"])
    inner = command("unit", EXAMPLES / "claim.bpmn", "site_visit").json
    assert inner["spec"]["name"] == "site_visit"
    assert (
        command(
            "unit",
            "-",
            "site_visit",
            input=json.dumps(command("unit", EXAMPLES / "claim.bpmn", "--defer", "nothing").json),
        ).code
        == 0
    )
    assert "name a key of that cache" in failing("unit", cache, code=2)


def test_explain_says_by_which_path_each_process_came_in(cache: Path) -> None:
    done = command("unit", cache, "Claim", "Claim", "order_transfer", "--explain")
    assert done.lines[1].endswith("requested")
    assert done.lines[3].endswith("Claim > settle_large_claim calls Settle > pay_claim calls Pay")
    shape = command("unit", cache, "Claim", "Claim", "order_transfer", "--explain", "--json").json
    units = ElementUnits.open(cache, "Claim")
    assert shape.keys() == {"process", "elements", "defer", "bytes", "processes"}
    assert shape["bytes"] == len(units.workflow("Claim", "order_transfer"))
    assert shape["processes"][1] == {
        "id": "Settle",
        "bytes": len(units.spec_json("Settle")),
        "path": [
            {
                "process": "Claim",
                "element": "settle_large_claim",
                "kind": "call",
                "to": "Settle",
            }
        ],
    }


def check_paths(units: ElementUnits, process_id: str, elements: tuple, defer: str) -> None:
    """Require that the paths lead to the processes of the unit, and each step is a reference."""
    held = units.needs(process_id, *elements, defer=defer)
    found = paths(units, process_id, elements, defer)
    assert tuple(found) == held
    for to, path in found.items():
        at = process_id
        for step in path:
            assert step.process_id == at
            kinds = {(one.kind, one.element_id, one.process_id) for one in units.references(at)}
            assert (step.kind, step.element_id, step.to) in kinds
            # Before SpiffWorkflow 3.2, a process that did not start may call one that events start.
            assert step.to in held or (defer == "calls" and process_id != units.root)
            at = step.to
        assert at == to


@pytest.mark.parametrize("defer", ["calls", "all", "nothing"])
def test_the_paths_explain_what_events_start_before_spiffworkflow_3_2(defer: str) -> None:
    def spec(name: str, **tasks: Any) -> dict:
        return {"name": name, "typename": "BpmnProcessSpec", "task_specs": tasks}

    def call(process_id: str) -> dict:
        return {"typename": "CallActivity", "spec": process_id}

    message = {"typename": "StartEvent", "event_definition": {"typename": "MessageEventDefinition"}}
    inner = {"typename": "SubWorkflowTask", "spec": "stairs"}
    specs = [
        spec("town", to_school=call("school")),
        spec("school", to_lesson=call("lesson")),
        spec("lesson", to_drill=call("drill")),
        spec("drill", alarm=message, leave=inner),
        spec("stairs"),
    ]
    others = {one["name"]: one for one in specs[1:]}
    units = ElementUnits.from_json(json.dumps({"spec": specs[0], "subprocess_specs": others}))
    for process_id in units.process_ids:
        check_paths(units, process_id, (), defer)
    if defer == "calls":
        found = paths(units, "school", (), defer)
        assert [step.to for step in found["stairs"]] == ["lesson", "drill", "stairs"]
        assert list(found) == ["school", "drill", "stairs"]


@pytest.mark.parametrize("defer", ["calls", "all", "nothing"])
@pytest.mark.parametrize("name", sorted(models.MODELS))
def test_the_paths_explain_every_unit_of_a_model(name: str, defer: str) -> None:
    units = ElementUnits.from_json(models.spec_json(models.MODELS[name]))
    for process_id in units.process_ids:
        reached = units.needs(process_id, defer="nothing")
        elements = {id for one in reached for id in units.element_ids(one)}
        for element in (*reached, *sorted(elements)):
            check_paths(units, process_id, (element,), defer)


def test_a_trigger_of_an_element_is_no_path_where_the_application_loads_it() -> None:
    both = {"typename": "CallActivity", "spec": "q", "trigger_specs": ["r"]}
    specs = {
        name: {"name": name, "typename": "BpmnProcessSpec", "task_specs": {}} for name in "pqr"
    }
    specs["p"]["task_specs"] = {"both": both}
    units = ElementUnits.from_json(json.dumps({"spec": specs.pop("p"), "subprocess_specs": specs}))
    for defer in ("calls", "all", "nothing"):
        check_paths(units, "p", ("both",), defer)
    assert list(paths(units, "p", ("both",), "all")) == ["p", "q"]


@given(texts(), st.data(), defers)
def test_the_paths_explain_every_unit_of_any_workflow(
    text: str, data: st.DataObject, defer: str
) -> None:
    workflow = json.loads(text)
    root = workflow["spec"]["name"]
    assume(root not in workflow["subprocess_specs"])  # one name for two processes says too little
    units = ElementUnits.from_json(text)
    process_id = data.draw(st.sampled_from(units.process_ids))
    known = [id for one in units.process_ids for id in (one, *units.element_ids(one))]
    elements = tuple(data.draw(st.lists(st.sampled_from(known), max_size=2)))
    try:
        units.needs(process_id, *elements, defer=defer)
    except UnitNotFound:
        with pytest.raises(UnitNotFound):
            paths(units, process_id, elements, defer)
        return
    check_paths(units, process_id, elements, defer)
