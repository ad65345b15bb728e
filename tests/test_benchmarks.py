"""The generators of the benchmarks make the trees and histories that they promise."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from memory_store import MemoryStore
from SpiffWorkflow.util.task import TaskState

from spiff_element_units import ElementUnits
from spiff_element_units.cache import sources

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import async_starts  # noqa: E402
import cases  # noqa: E402, F401 - registers the cases
import histories  # noqa: E402
import history_rows  # noqa: E402
import instances  # noqa: E402
import instructions  # noqa: E402
import many_models  # noqa: E402
import many_rows  # noqa: E402
import store_gets  # noqa: E402
import workflows  # noqa: E402
from given import Given  # noqa: E402
from histories import History  # noqa: E402
from measured import Results, name_of  # noqa: E402
from timing import CASES  # noqa: E402
from workflows import Tree  # noqa: E402

TREES = [
    Tree(1),
    Tree(10),
    Tree(36),
    Tree(60, tasks=4, humans=2, fan_out=3, embedded=0.5),
    Tree(12, tasks=2, humans=0, fan_out=11, embedded=0),
    Tree(9, tasks=3, fan_out=1, embedded=1),
]


def held(tree):
    """The processes of a tree's spec JSON by id."""
    workflow = json.loads(workflows.spec_json(tree))
    root = workflow["spec"]
    return {root["name"]: root, **workflow["subprocess_specs"]}


def of_typename(spec, *typenames):
    return [task for task in spec["task_specs"].values() if task["typename"] in typenames]


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.name)
def test_a_tree_has_what_it_says(tree):
    specs = held(tree)
    assert sorted(specs) == [workflows.process_id(i) for i in range(tree.processes)]
    for i in range(tree.processes):
        spec = specs[workflows.process_id(i)]
        children = [workflows.process_id(child) for child in tree.children(i)]
        embedded = [child for child in tree.children(i) if tree.is_embedded(child)]
        assert len(of_typename(spec, "ScriptTask")) == tree.tasks - tree.humans
        assert len(of_typename(spec, "ManualTask")) == tree.humans
        references = of_typename(spec, "CallActivity", "SubWorkflowTask")
        assert sorted(task["spec"] for task in references) == children
        assert [task["spec"] for task in of_typename(spec, "SubWorkflowTask")] == [
            workflows.process_id(child) for child in embedded
        ]
    parents = [tree.parent(i) for i in range(1, tree.processes)]
    assert all(child in tree.children(parent) for child, parent in enumerate(parents, 1))


def test_the_share_of_embedded_subprocesses_is_the_one_asked_for():
    tree = Tree(1_000)
    assert sum(map(tree.is_embedded, range(1_000))) == pytest.approx(200, abs=20)


def test_embedded_subprocesses_are_nested_no_deeper_than_said():
    tree = Tree(9, fan_out=1, embedded=1)
    assert [tree.is_embedded(i) for i in range(7)] == [False, True, True, False, True, True, False]


def test_36_processes_have_three_levels():
    assert max(map(Tree(36).level, range(36))) == 2


def test_a_leaf_is_the_same_in_a_small_and_in_a_large_tree():
    small, large = held(Tree(36)), held(Tree(80))
    name = workflows.process_id(34)
    leaf = workflows.process_id(79)
    same = json.dumps(small[name]).replace("00034", "00079")
    assert json.dumps(large[leaf]) == same


def test_the_text_is_the_same_at_every_call():
    assert workflows.spec_json(Tree(36)) == workflows.spec_json(Tree(36))


def test_no_path_is_in_the_text():
    assert all(spec["file"] is None for spec in held(Tree(10)).values())


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.name)
def test_a_run_stops_at_every_human_task_and_comes_to_its_end(tree):
    instance = workflows.waiting(*workflows.specs(tree), level=0)
    stops = 0
    while workflows.go_on(instance):
        stops += 1
    assert stops == tree.processes * tree.humans
    assert instance.completed
    assert len(instance.subprocesses) == tree.processes - 1


def test_what_is_prepared_is_made_once_and_waits_where_it_says(tmp_path):
    folder = workflows.prepared(Tree(10), tmp_path)
    about = json.loads((folder / "about.json").read_text())
    assert about["deep"] == "Process_00007"
    assert about["level"] == 2
    serializer = workflows.serializer()
    for name, place in (("state", "Process_00000"), ("deep", "Process_00007")):
        instance = serializer.deserialize_json((folder / f"{name}.json").read_text())
        waits = instance.get_next_task(state=TaskState.READY, manual=True)
        assert waits.task_spec.name == f"{place}_human_1"
    before = folder.stat().st_mtime_ns
    assert workflows.prepared(Tree(10), tmp_path) == folder
    assert folder.stat().st_mtime_ns == before


# Instances with a history


def subprocesses(instance):
    return list(instance.subprocesses.values())


@pytest.mark.parametrize(
    ("kind", "calls", "finished"),
    [("tree", 14, 14), ("first", 3, 3), ("loop", 5, 5), ("multi", 5, 5), ("walk", 14, 0)],
)
def test_an_instance_has_the_history_that_it_says(kind, calls, finished):
    history = History(kind, calls)
    instance = histories.instance(history, histories.spec_json(history))
    assert sum(one.completed for one in subprocesses(instance)) == finished
    assert len(instance.get_tasks(state=TaskState.READY, manual=True)) == 1


def test_all_calls_of_a_resting_instance_wait():
    history = History("resting", 7)
    instance = histories.instance(history, histories.spec_json(history))
    waiting = instance.get_tasks(state=TaskState.READY, manual=True)
    assert [task.task_spec.name for task in waiting] == ["Round_000"] * 7
    assert not any(one.completed for one in subprocesses(instance))


def test_an_instance_that_is_left_as_text_on_the_way_is_the_one_that_runs_through(monkeypatch):
    def made():
        history = History("tree", 14)
        instance = histories.instance(history, histories.spec_json(history))
        return [
            (task.task_spec.name, task.state, task.workflow.spec.name, task.data)
            for task in instance.get_tasks()
        ]

    by_parts = made()
    monkeypatch.setattr(histories, "_stopping", lambda after: None)
    assert made() == by_parts


def test_a_tree_calls_as_many_processes_as_it_says_or_there_is_none():
    assert History("tree", 1_110).width == 10
    with pytest.raises(StopIteration):
        _ = History("tree", 1_000).width


@pytest.mark.parametrize("probe", ["caching", "opened", "reading", "sizes"])
def test_each_probe_tells_what_it_has_found(probe, tmp_path):
    folder = workflows.prepared(Tree(3), tmp_path)
    command = [sys.executable, str(BENCHMARKS / "probes.py"), probe, "ours", str(folder)]
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    found = json.loads(subprocess.run(command, check=True, capture_output=True, env=path).stdout)
    if probe == "reading":
        assert 0 < found["leaf"]["bytes"] < found["start"]["bytes"] < found["file"]
    assert found


@pytest.mark.parametrize("kind", ["tree", "first", "loop", "multi", "resting"])
def test_a_step_comes_to_the_same_whoever_does_it(tmp_path, kind):
    folder = histories.prepared(History(kind, 14), tmp_path / "cache")
    case = "step, first level" if kind == "first" else f"step, {kind}"
    (tmp_path / "scratch").mkdir()
    given = Given(folder, tmp_path / "scratch")

    def shape(state):
        run = json.loads(state)
        processes = [run, *run["subprocesses"].values()]
        return [
            sorted((task["task_spec"], task["state"]) for task in one["tasks"].values())
            for one in processes
        ]

    text, own = (CASES[case, subject](given).run() for subject in ("text", "json"))
    pieces = CASES[case, "pieces"](given).run()
    stored = {**instances._split(given), **pieces.changed}
    loader = instances._loader(given)
    assert shape(text) == shape(own) == shape(loader.join(stored.__getitem__))
    assert shape(text) != shape(given.text("state"))


def test_every_row_of_instances_is_made_of_what_is_measured(monkeypatch):
    pytest.importorskip("pyperf")
    pytest.importorskip("matplotlib")
    import run  # noqa: PLC0415 - `make tests` has no pyperf

    monkeypatch.setattr(run, "with_history", lambda history, cache: cache)
    monkeypatch.setattr(run, "prepared", lambda tree, cache: cache)
    measured = {
        (job.what, job.workflow.name, job.subject) for job in run.instance_jobs(quick=False)
    }
    for ask in history_rows.asked():
        assert {ask.ours, ask.other} <= measured


@pytest.mark.parametrize(
    ("case", "subject"),
    [("registry hit", "ours"), ("unchanged folder", "stat"), ("unchanged folder", "digests")],
)
def test_what_is_asked_of_many_models_stays_the_same_object(case, subject, tmp_path, monkeypatch):
    monkeypatch.setattr(many_models, "FILES", 30)
    monkeypatch.setattr(many_models, "OPEN", 9)
    monkeypatch.setattr(sources, "_SETTLES_IN", sources._SETTLES_IN)
    given = Given(workflows.prepared(Tree(3), tmp_path), tmp_path / "scratch")
    given.scratch.mkdir()
    run, _ = CASES[case, subject](given)
    assert run() is run()


def test_what_is_measured_of_a_store_is_the_same_unit_each_time(monkeypatch):
    store, units = MemoryStore(), ElementUnits.from_json(workflows.spec_json(Tree(10)))
    seen = []

    def once(rounds, *actions, warm_up):
        seen.append([action() for action in actions])
        return [1.0 for _ in actions]

    monkeypatch.setattr(store_gets, "in_turns", once)
    assert store_gets.measure(store, units, 1) == [1.0, 1.0, 1.0]
    assert store_gets.measure_kept(store, units, 1) == [1.0, 1.0]
    unit = units.workflow(units.root)
    assert seen == [[[unit.encode()], unit, unit], [unit, unit]]


def test_a_limit_that_is_missed_is_told():
    results = Results()
    for what, case, subject, limit, _ in many_rows.LIMITS:
        results.times[name_of(case, many_rows.MODELS, subject)] = [[limit * 2], [limit * 3]]
        assert any(row.what == what and row.reached is False for row in many_rows.rows(results))
    found = {"before": 10, "few": 20, "many": 40, "loaders": 1, "specs": 1}
    results.probes[name_of("worker", many_rows.MODELS, "ours")] = [found]
    (row,) = [row for row in many_rows.rows(results) if "memory" in row.what]
    assert row.reached is False


def test_instructions_are_counted_of_cases_that_there_are():
    assert {(case, subject) for case, subject, _ in instructions.OPERATIONS.values()} <= set(CASES)


def test_an_operation_that_needs_too_many_more_instructions_is_told(capsys):
    rows = [("get", 1000, 1021), ("cache", 1000, 1020), ("workflow()", 1000, 900)]
    assert instructions.show(rows) == ["get"]
    assert "+2.10%" in capsys.readouterr().out


# An event loop


def test_each_call_is_measured_in_the_loop_and_in_a_thread(tmp_path):
    found = asyncio.run(async_starts.measure(10, 2, tmp_path))
    assert len(found) == 10
    for by_way in found.values():
        assert {way: len(measured) for way, measured in by_way.items()} == {False: 2, True: 2}
