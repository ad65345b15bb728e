"""New versions of a workflow under running instances, compared with SpiffWorkflow itself."""

from __future__ import annotations

import json
import pickle
from contextlib import suppress

import driving
import models
import pytest
from lockstep import HEADER
from SpiffWorkflow.exceptions import WorkflowException
from SpiffWorkflow.util.task import TaskState
from version_models import WAYS, Kept, at, do, finish, loader_of, started, waiting

from spiff_element_units import ElementUnitsError
from spiff_element_units.spiff import (
    ChangedWorkflow,
    StateError,
    compare_all,
)

try:
    from SpiffWorkflow.bpmn.util import diff
except ImportError:  # 3.0, where an element with another id is another element
    diff = None

HUMAN = [("human", "first"), ("human", "second"), ("human", "third")]
CALLING = {
    "root": [("human", "before"), ("call", "call", "claim"), ("human", "after")],
    "claim": [("human", "review"), ("human", "decide")],
    "other": [("human", "alone")],
}


def changed(processes=CALLING, **new) -> dict:
    return {**processes, **new}


NEW_CLAIM = [("human", "review"), ("human", "check"), ("human", "decide")]
NEW_ROOT = [*CALLING["root"], ("human", "archive")]


# An instance continues by itself if its parts are the same


def test_an_instance_continues_if_another_process_has_changed():
    old, new = loader_of(CALLING), loader_of(changed(other=HUMAN))
    resumed = new.resume(old.save(started(old, "before")), models.script_engine())
    assert finish(resumed) == ["review", "decide", "after"]


def test_calls_that_come_later_run_on_the_new_version():
    old, new = loader_of(CALLING), loader_of(changed(claim=NEW_CLAIM))
    resumed = new.resume(old.save(started(old)), models.script_engine())
    assert finish(resumed) == ["before", "review", "check", "decide", "after"]


def test_the_process_that_the_instance_is_in_must_be_the_same():
    old, new = loader_of(CALLING), loader_of(changed(claim=NEW_CLAIM))
    with pytest.raises(ChangedWorkflow, match="process 'claim', which the instance is in"):
        new.resume(old.save(started(old, "before")))


def test_the_process_of_an_embedded_subprocess_counts_with_it():
    def embedding(*inner):
        return {"root": [("human", "first"), ("embed", "part", [*inner])]}

    old = loader_of(embedding(("human", "a")))
    new = loader_of(embedding(("human", "a"), ("human", "b")))
    with pytest.raises(ChangedWorkflow, match="'root'"):
        new.resume(old.save(started(old)))


def test_by_version_an_instance_continues_only_on_the_version_that_it_was_saved_with():
    old, new = loader_of(CALLING), loader_of(changed(other=HUMAN))
    state = old.save(started(old, "before"))
    with pytest.raises(ChangedWorkflow, match='it continues here with binding="latest"'):
        new.resume(state, binding="version")
    with pytest.raises(ChangedWorkflow):
        new.resume_pieces(old.split(state).changed.__getitem__, binding="version")
    assert at(old.resume(state, binding="version")) == ["review"]
    with pytest.raises(ElementUnitsError, match="binding must be"):
        old.resume(state, binding="newest")


def test_a_state_of_before_0_5_continues_if_the_version_is_in_the_cache(tmp_path):
    """It does not name the digests of its processes."""
    old = loader_of(CALLING, tmp_path, "v1")
    new = loader_of(changed(other=HUMAN), tmp_path, "v2")
    state = json.loads(old.save(started(old, "before")))
    del state[HEADER]["processes"]
    assert at(new.resume(json.dumps(state))) == ["review"]
    (tmp_path / "elsewhere").mkdir()
    alone = loader_of(changed(other=HUMAN), tmp_path / "elsewhere", "v2")
    with pytest.raises(ChangedWorkflow, match="is not known"):
        alone.resume(json.dumps(state))


# Messages about what has changed


def test_a_comparison_tells_what_has_changed_and_what_of_it_is_finished():
    old, new = loader_of(CALLING), loader_of(changed(claim=NEW_CLAIM, root=NEW_ROOT))
    state = old.save(started(old, "before", "review"))
    comparison = new.compare(state, old=old)
    assert not comparison.can_resume
    assert not comparison.can_migrate
    by_name = {one.process_id: one for one in comparison.processes}
    assert {name: one.result for name, one in by_name.items()} == {
        "root": "changed",
        "claim": "changed",
    }
    elements = {one.element_id: one for one in by_name["claim"].elements}
    assert elements["check"].change == "added"
    assert elements["review"].fields == ("outputs",)
    assert (elements["review"].finished, elements["decide"].current) == (1, 1)
    assert any(
        "element 'review' of process 'claim' has changed (what follows it)" in one
        for one in comparison.reasons
    )


def test_an_error_has_the_comparison(tmp_path):
    old = loader_of(CALLING, tmp_path, "v1")
    new = loader_of(changed(claim=NEW_CLAIM), tmp_path, "v2")
    state = old.save(started(old, "before"))
    with pytest.raises(ChangedWorkflow, match="it can be migrated") as raised:
        new.resume(state)
    assert raised.value.comparison == new.compare(state)
    assert raised.value.comparison.can_migrate
    assert raised.value.comparison.saved_with == ("v1", old.units.digest)


def test_a_process_that_is_gone_is_told():
    without = {name: nodes for name, nodes in CALLING.items() if name != "claim"}
    old, new = loader_of(CALLING), loader_of({**without, "root": [("human", "before")]})
    comparison = new.compare(old.save(started(old, "before")), old=old)
    assert [one.result for one in comparison.processes] == ["changed", "gone"]
    assert any("'claim' is not in the workflow" in one for one in comparison.reasons)
    with pytest.raises(ChangedWorkflow, match="'claim' is not in the workflow"):
        new.migrate(old.save(started(old, "before")), old)


def test_a_settled_subprocess_has_no_say():
    old, new = loader_of(CALLING), loader_of(changed(claim=NEW_CLAIM))
    comparison = new.compare(old.save(started(old, "before", "review", "decide")), old=old)
    assert comparison.can_resume
    assert [(one.process_id, one.result, one.running) for one in comparison.processes] == [
        ("root", "same", True),
        ("claim", "changed", False),
    ]


@pytest.mark.parametrize("spec", [CALLING, changed(claim=NEW_CLAIM)], ids=["same", "changed"])
def test_settled_subprocesses_of_a_state_of_spiffworkflow_are_told_too(spec):
    old, new = loader_of(CALLING), loader_of(spec)
    workflow = started(old, "before", "review", "decide")
    native = models.serializer().serialize_json(workflow)
    expected = [
        (one.process_id, one.result, one.running)
        for one in new.compare(old.save(workflow), old=old).processes
    ]
    assert len(expected) == 2
    for state in (native, json.loads(native)):
        found = new.compare(state)
        assert found.can_resume
        assert [(one.process_id, one.result, one.running) for one in found.processes] == expected


def test_the_live_piece_is_enough_for_a_comparison():
    old, new = loader_of(CALLING), loader_of(changed(claim=NEW_CLAIM))
    state = old.save(started(old, "before"))
    live = old.split(state).changed["live"]
    assert new.compare(live, old=old) == new.compare(state, old=old)
    assert new.compare(live.encode(), old=old.units) == new.compare(state, old=old)


# Moving over


def test_a_step_that_was_added_behind_the_current_one_is_not_skipped():
    old, new = loader_of(CALLING), loader_of(changed(claim=NEW_CLAIM))
    state = old.save(started(old, "before"))
    migrated = new.migrate(state, old, script_engine=models.script_engine())
    assert finish(migrated) == ["review", "check", "decide", "after"]


def test_the_elements_behind_a_running_call_may_change():
    old, new = loader_of(CALLING), loader_of(changed(root=[*CALLING["root"][:2], *HUMAN]))
    state = old.save(started(old, "before", "review"))
    migrated = new.migrate(state, old, script_engine=models.script_engine())
    assert finish(migrated) == ["decide", "first", "second", "third"]


def test_a_process_goes_on_waiting_if_only_what_is_embedded_in_it_has_changed():
    def parallel(*inner):
        return {"root": [("parallel", "both", [("human", "wait")], [("embed", "part", [*inner])])]}

    old, new = loader_of(parallel(*HUMAN)), loader_of(parallel(HUMAN[0], HUMAN[2]))
    workflow = started(old)
    for task in waiting(workflow):
        task.data["draft"] = task.task_spec.name
    migrated = new.migrate(old.save(workflow), old, script_engine=models.script_engine())
    drafts = {task.task_spec.name: task.data.get("draft") for task in waiting(migrated)}
    assert drafts == {"wait": "wait", "first": None}
    assert sorted(finish(migrated)) == ["first", "third", "wait"]


def test_an_instance_that_has_failed_moves_to_a_version_that_mends_it():
    """The tasks after the error are predicted anew if one of their elements is gone."""
    before = {"root": [("script", "divide", "x = 1 / 0"), *HUMAN]}
    old, new = loader_of(before), loader_of({"root": [("script", "divide", "x = 1"), HUMAN[2]]})
    workflow = old.start(script_engine=models.script_engine())
    with pytest.raises(WorkflowException):
        workflow.do_engine_steps()
    assert any(t.task_spec.name == "first" for t in workflow.tasks.values())
    migrated = new.migrate(old.save(workflow), old, script_engine=models.script_engine())
    (failed,) = (t for t in migrated.tasks.values() if t.task_spec.name == "divide")
    assert failed.state == TaskState.ERROR
    migrated.reset_from_task_id(failed.id)
    migrated.do_engine_steps()
    assert finish(migrated) == ["third"]


def test_several_processes_of_an_instance_move_at_once():
    old, new = loader_of(CALLING), loader_of(changed(claim=NEW_CLAIM, root=NEW_ROOT[:2] + HUMAN))
    state = old.save(started(old, "before"))
    migrated = new.migrate(state, old, script_engine=models.script_engine())
    assert finish(migrated) == ["review", "check", "decide", "first", "second", "third"]


@pytest.mark.parametrize("element", [("humans", "many", 3), ("calls", "many", "claim", 2)])
def test_what_follows_a_running_multi_instance_may_change(element):
    before = {**CALLING, "root": [element, ("human", "after")]}
    after = {**before, "root": [element, ("human", "inserted"), ("human", "after")]}
    old, new = loader_of(before), loader_of(after)
    workflow = started(old)
    do(workflow, at(workflow)[0])
    expected = [*finish(old.resume(old.save(workflow), models.script_engine()))]
    migrated = new.migrate(old.save(workflow), old, script_engine=models.script_engine())
    assert finish(migrated) == [*expected[:-1], "inserted", "after"]


@pytest.mark.parametrize("element", [("humans", "many", 1), ("calls", "many", "claim", 1)])
def test_a_step_behind_a_finished_multi_instance_is_not_skipped(element):
    before = {**CALLING, "root": [element, ("human", "after")]}
    after = {**before, "root": [element, ("human", "inserted"), ("human", "after")]}
    old, new = loader_of(before), loader_of(after)
    workflow = started(old)
    while at(workflow) != ["after"]:
        do(workflow, at(workflow)[0])
    with pytest.raises(ChangedWorkflow, match="'many' of process 'root' has changed"):
        new.migrate(old.save(workflow), old)


def test_a_multi_instance_keeps_its_place_if_its_element_has_changed():
    """Its ready tasks take the change and keep their items."""
    before = {"root": [("humans", "many", 3), ("human", "after")]}
    old, new = loader_of(before), loader_of({"root": [("humans", "many", 3), *HUMAN]})
    workflow = started(old)
    do(workflow, at(workflow)[0])
    kept = [task.internal_data for task in waiting(workflow)]
    migrated = new.migrate(old.save(workflow), old, script_engine=models.script_engine())
    assert [task.internal_data for task in waiting(migrated)] == kept
    assert len(finish(migrated)) == 2 + len(HUMAN)


def test_a_change_that_the_instance_has_passed_is_refused():
    old = loader_of(CALLING)
    new = loader_of(changed(root=[("human", "before"), ("human", "new"), *CALLING["root"][1:]]))
    state = old.save(started(old, "before"))
    with pytest.raises(ChangedWorkflow, match="'before' of process 'root' has changed") as raised:
        new.migrate(state, old)
    assert not raised.value.comparison.can_migrate


def test_an_element_that_the_instance_is_at_may_not_be_gone():
    old, new = loader_of({"root": HUMAN}), loader_of({"root": HUMAN[:1]})
    state = old.save(started(old, "first"))
    with pytest.raises(ChangedWorkflow, match="'second' of process 'root' was removed"):
        new.migrate(state, old)


def test_a_step_that_was_only_predicted_may_be_gone():
    old, new = loader_of({"root": HUMAN}), loader_of({"root": HUMAN[:2]})
    state = old.save(started(old, "first"))
    migrated = new.migrate(state, old, script_engine=models.script_engine())
    assert finish(migrated) == ["second"]


def test_a_renamed_element_is_aligned_by_the_callers_map():
    renamed = {"root": [("human", "one"), ("human", "second"), ("human", "three")]}
    old, new = loader_of({"root": HUMAN}), loader_of(renamed)
    state = old.save(started(old, "first"))
    assert not new.compare(state, old=old).can_migrate
    names = {"first": "one", "third": "three"}
    assert new.compare(state, old=old, renamed=names).can_migrate
    migrated = new.migrate(state, old, renamed=names, script_engine=models.script_engine())
    done = [t.task_spec.name for t in migrated.get_tasks(state=TaskState.COMPLETED, manual=True)]
    assert done == ["one"]
    assert finish(migrated) == ["second", "three"]


def test_a_finished_element_that_has_another_id_is_refused_and_told_once():
    old = loader_of({"root": [("human", "first"), ("human", "second")]})
    new = loader_of({"root": [("human", "begin"), ("human", "second")]})
    (*_, reason) = new.compare(old.save(started(old, "first")), old=old).reasons
    assert reason.startswith("element 'first' of process 'root' ")
    assert reason.count("its id") == (0 if diff is None else 1)


def test_a_renaming_of_what_is_not_there_is_an_error():
    old, new = loader_of({"root": HUMAN}), loader_of({"root": HUMAN[:2]})
    state = old.save(started(old))
    with pytest.raises(ElementUnitsError, match="'nothing'"):
        new.migrate(state, old, renamed={"nothing": "second"})
    with pytest.raises(ElementUnitsError, match="'nowhere'"):
        new.migrate(state, old, renamed={"third": "nowhere"})


def test_one_map_of_renamed_elements_is_good_for_all_instances():
    """Also for those that are not in the process where an element was renamed."""
    root = [("human", "before"), ("call", "one", "claim"), ("call", "two", "check")]
    old = loader_of({"root": root, "claim": HUMAN[:2], "check": [("human", "look")]})
    new = loader_of({"root": root, "claim": HUMAN, "check": [("human", "check_it")]})
    renamed = {"look": "check_it"}
    state = old.save(started(old, "before"))
    assert new.compare(state, old=old, renamed=renamed).can_migrate
    migrated = new.migrate(state, old, renamed=renamed, script_engine=models.script_engine())
    assert finish(migrated) == ["first", "second", "third", "check_it"]
    state = old.save(started(old, "before", "first", "second"))
    assert at(new.migrate(state, old, renamed=renamed)) == ["check_it"]


def test_the_old_version_is_found_in_the_cache_by_the_key_in_the_state(tmp_path):
    old = loader_of(CALLING, tmp_path, "v1")
    new = loader_of(changed(claim=NEW_CLAIM), tmp_path, "v2")
    migrated = new.migrate(old.save(started(old, "before")), script_engine=models.script_engine())
    assert finish(migrated) == ["review", "check", "decide", "after"]


def test_an_old_version_that_is_not_there_is_named(tmp_path):
    old = loader_of(CALLING, tmp_path, "v1")
    state = old.save(started(old, "before"))
    new = loader_of(changed(claim=NEW_CLAIM), tmp_path, "v1")  # under the same key
    with pytest.raises(ChangedWorkflow, match="is not there; cache it again under that key"):
        new.migrate(state)


def test_a_state_that_was_migrated_says_so_and_the_one_given_is_unchanged(tmp_path):
    old = loader_of(CALLING, tmp_path, "v1")
    new = loader_of(changed(claim=NEW_CLAIM), tmp_path, "v2")
    state = old.save(started(old, "before"))
    (moved,) = json.loads(new.save(new.migrate(state)))[HEADER]["moved"]
    assert moved["from"] == {"cache_key": "v1", "digest": old.units.digest}
    assert moved["to"] == {"cache_key": "v2", "digest": new.units.digest}
    assert moved["when"].endswith("+00:00")
    again = new.resume(new.save(new.migrate(state)))
    assert len(json.loads(new.save(again))[HEADER]["moved"]) == 1
    assert at(old.resume(state)) == ["review"]


def test_pieces_are_migrated(tmp_path):
    old = loader_of(CALLING, tmp_path, "v1")
    new = loader_of(changed(root=NEW_ROOT), tmp_path, "v2")
    store = dict(old.split(old.save(started(old, "before", "review", "decide"))).changed)
    assert len(store) == 2
    migrated = new.migrate_pieces(store.__getitem__, script_engine=models.script_engine())
    pieces = new.save_pieces(migrated)
    assert set(pieces.changed) == {"live"}
    store.update(pieces.changed)
    resumed = new.resume_pieces(store.__getitem__, models.script_engine())
    assert finish(resumed) == ["after", "archive"]


# States of SpiffWorkflow's serialize_json


def test_the_specs_in_a_state_of_serialize_json_are_compared():
    old, new = loader_of(CALLING), loader_of(changed(claim=NEW_CLAIM))
    state = models.serializer().serialize_json(started(old, "before"))
    assert at(old.resume(state)) == ["review"]
    with pytest.raises(ChangedWorkflow, match="the specs in the state") as raised:
        new.resume(state)
    assert raised.value.comparison.can_migrate
    migrated = new.migrate(state, script_engine=models.script_engine())
    assert finish(migrated) == ["review", "check", "decide", "after"]
    elsewhere = models.serializer().serialize_json(started(old))
    assert at(new.resume(elsewhere)) == ["before"]


def test_a_settled_subprocess_of_serialize_json_is_looked_into_if_its_process_is_the_same():
    old, new = loader_of(CALLING), loader_of(changed(claim=NEW_CLAIM))
    state = models.serializer().serialize_json(started(old, "before", "review", "decide"))
    for resumed in (old.resume(state), old.resume(old.save(old.resume(state)))):
        assert "decide" in [task.task_spec.name for task in resumed.get_tasks()]
    for resumed in (new.resume(state), new.resume(new.save(new.resume(state)))):
        with pytest.raises(StateError, match="of the specs in the state"):
            resumed.get_tasks()


# Settled subprocesses of an earlier version


def looped(claim) -> dict:
    return {
        "root": [("call", "one", "claim"), ("call", "two", "claim"), ("human", "end")],
        "claim": claim,
    }


OLD_CLAIM = [("human", "review"), ("embed", "part", [("human", "inner")])]


def settled_elements(workflow) -> list:
    """The elements of each call of `claim`, in order."""
    calls = [one for one in workflow.subprocesses.values() if one.spec.name == "claim"]
    return [sorted(one.spec.task_specs) for one in calls]


@pytest.mark.parametrize("way", WAYS)
def test_a_settled_subprocess_is_what_it_was(way, tmp_path):
    old = loader_of(looped(OLD_CLAIM), tmp_path, "v1")
    new = loader_of(looped(NEW_CLAIM), tmp_path, "v2")
    third = loader_of(looped(HUMAN), tmp_path, "v3")
    workflow = started(old, "review")
    do(workflow, "inner")
    assert at(workflow) == ["review"]
    # The second call has begun on the first version, so it is migrated.
    workflow = new.migrate(old.save(workflow), script_engine=models.script_engine())
    kept = Kept(way)
    workflow = kept.to(new, workflow)
    for name in ("review", "check", "decide"):
        do(workflow, name)
    for loader, other in ((new, new), (new, third), (third, third), (third, new), (new, new)):
        workflow = kept.to(loader, workflow, other)
        if other is third and loader is third:  # even if nobody has looked into them in between
            continue
        first, second = settled_elements(workflow)
        assert "part" in first
        assert "check" in second
        assert "inner" in [task.task_spec.name for task in workflow.get_tasks()]
    assert finish(workflow) == ["end"]


@pytest.mark.parametrize("way", WAYS)
def test_a_settled_subprocess_whose_version_is_gone_says_so_and_nothing_else_fails(way):
    old, new = loader_of(looped(OLD_CLAIM)), loader_of(looped(NEW_CLAIM))
    workflow = started(old, "review")
    for name in ("inner", "review", "inner"):
        do(workflow, name)
    workflow = Kept(way).to(old, workflow, new)
    with pytest.raises(StateError, match="ran on process 'claim' of the version with digest"):
        settled_elements(workflow)
    assert finish(workflow) == ["end"]


def test_the_copy_of_a_pickle_does_not_take_one_version_for_another(tmp_path):
    """Its specs are in a dict, so nobody knows on which version a subprocess settled."""
    old = loader_of(looped(OLD_CLAIM), tmp_path, "v1")
    new = loader_of(looped(NEW_CLAIM), tmp_path, "v2")
    workflow = started(old, "review")
    do(workflow, "inner")
    workflow = new.migrate(old.save(workflow), script_engine=models.script_engine())
    for name in ("review", "check", "decide"):
        do(workflow, name)
    engine, workflow.script_engine = workflow.script_engine, None
    copied = pickle.loads(pickle.dumps(workflow))
    copied.script_engine = engine
    for _ in range(2):
        copied = new.resume(new.save(copied), engine)
        first, second = [one for one in copied.subprocesses.values() if one.depth == 1]
        with pytest.raises(StateError, match="of the specs in the state"):
            first.get_tasks()
        assert "check" in [task.task_spec.name for task in second.get_tasks()]
    assert finish(copied) == ["end"]


def test_an_instance_moves_from_version_to_version_and_back(tmp_path):
    loaders = [
        loader_of(looped(claim), tmp_path, str(number))
        for number, claim in enumerate((NEW_CLAIM, NEW_CLAIM[:2], [*NEW_CLAIM, ("human", "tell")]))
    ]
    workflow = started(loaders[0], "review", "check", "decide", "review")
    for before, after in ((0, 1), (1, 2), (2, 1), (1, 0), (0, 2)):
        state = loaders[before].save(workflow)
        workflow = loaders[after].migrate(state, script_engine=models.script_engine())
        assert at(workflow) == ["check"]
        first, second = settled_elements(workflow)
        assert "decide" in first
        assert "tell" not in first
        assert ("decide" in second, "tell" in second) == (after != 1, after == 2)
    assert finish(workflow) == ["check", "decide", "tell", "end"]


@pytest.mark.parametrize("tasks", [{}, {"a": 1}, {"a": {}}, {"a": {"task_spec": []}}])
def test_a_damaged_state_that_is_compared_is_an_error_of_the_library(tasks):
    old, new = loader_of(CALLING), loader_of(changed(claim=NEW_CLAIM, root=NEW_ROOT))
    state = json.loads(old.save(started(old, "before")))
    call = next(iter(state["subprocesses"]))
    for damaged in (
        {**state, "tasks": tasks},
        {**state, "subprocesses": {call: {"spec": "claim", "tasks": tasks}}},
        {**state, "subprocesses": {call: tasks}},
    ):
        with suppress(StateError):
            new.compare(json.dumps(damaged), old=old)
        assert compare_all([json.dumps(damaged)], new, old=old).total == 1


def test_a_settled_subprocess_of_an_earlier_version_is_not_brought_back_to_life(tmp_path):
    old = loader_of(looped(OLD_CLAIM), tmp_path, "v1")
    new = loader_of(looped(NEW_CLAIM), tmp_path, "v2")
    workflow = started(old, "review")
    for name in ("inner", "review", "inner"):
        do(workflow, name)
    workflow = new.resume(old.save(workflow), models.script_engine())
    driving.reset(workflow, "review")
    with pytest.raises(ElementUnitsError, match="a reset made it run again"):
        new.save(workflow)


# What the application reads from its database


@pytest.mark.parametrize("read", [{}.__getitem__, lambda piece_id: None], ids=["raises", "None"])
def test_a_live_piece_that_cannot_be_read_is_named_by_a_migration(read):
    with pytest.raises(StateError, match=r"piece 'live' of the state (cannot be read|is missing)"):
        loader_of(CALLING).migrate_pieces(read)


@pytest.mark.parametrize("kind", [str, str.encode, lambda text: memoryview(text.encode())])
def test_a_refused_instance_in_pieces_is_compared_whatever_type_its_text_has(kind):
    old, new = loader_of(CALLING), loader_of(changed(claim=NEW_CLAIM))
    stored = old.save_pieces(started(old, "before")).changed
    with pytest.raises(ChangedWorkflow) as refused:
        new.resume_pieces(lambda piece_id: kind(stored[piece_id]))
    assert not refused.value.comparison.can_resume
    moved = new.migrate_pieces(lambda piece_id: kind(stored[piece_id]), old)
    assert moved.spec.name == "root"


# Many at once


def test_many_states_are_compared_and_summed_up():
    old, new = loader_of(CALLING), loader_of(changed(claim=NEW_CLAIM))
    states = {
        "at the start": old.save(started(old)),
        "in review": old.save(started(old, "before")),
        "to decide": old.save(started(old, "before", "review")),
        "no state": "{}",
    }
    summary = compare_all(states, new, old=old)
    assert summary.total == 4
    assert summary.resumable == ["at the start"]
    assert summary.migratable == ["in review"]
    assert summary.blocked == ["to decide"]
    assert summary.unreadable == ["no state"]
    reason = "process 'claim' has changed, and the instance is in it"
    assert summary.reasons[reason] == 2
    assert summary.ids_of(reason) == ["in review", "to decide"]
    assert "4 instances: 1 continue as they are" in str(summary)
    numbered = compare_all(iter(states.values()), new, old=old)
    assert (numbered.resumable, numbered.blocked) == ([0], [2])
    assert compare_all(list(states.items()), new, old=old).migratable == ["in review"]


def test_a_state_that_is_no_text_is_counted_and_the_reason_says_so():
    summary = compare_all({"a NULL": None}, loader_of(CALLING))
    assert summary.unreadable == ["a NULL"]
    assert "state must be str, bytes or a mapping, not NoneType" in next(iter(summary.reasons))
    assert str(summary).startswith("1 instance: 0 continue")
