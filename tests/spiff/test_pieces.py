"""Settled subprocesses that are left as text, or kept in separate pieces.

`tests/spiff/test_lockstep.py` runs every model with them. Here a state is restored twice: whole by
SpiffWorkflow, and by the loader. Both must give the same answer to every question.
"""

from __future__ import annotations

import copy
import logging
import pickle

import lockstep
import models
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lockstep import loader_of
from settled import IN_A, both, do_human_task, ids, new_loader, started, states, unopened
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.bpmn.serializer.default.workflow import BpmnSubWorkflowConverter
from SpiffWorkflow.bpmn.specs.mixins.subworkflow_task import SubWorkflowTask
from SpiffWorkflow.bpmn.util.subworkflow import BpmnSubWorkflow
from SpiffWorkflow.bpmn.util.task import BpmnTaskFilter
from SpiffWorkflow.exceptions import TaskNotFoundException
from SpiffWorkflow.spiff.serializer.config import SPIFF_CONFIG
from SpiffWorkflow.util.task import TaskState

from spiff_element_units.spiff import StateError
from spiff_element_units.spiff.standin import is_unopened

# What a walk gives


def filters(model, whole):
    """Arguments of `get_tasks` that match some tasks of the states."""
    tasks = whole.get_tasks()
    names = st.sampled_from(sorted({task.task_spec.name for task in tasks}))
    times = st.sampled_from(sorted({task.last_state_change for task in tasks}))
    classes = st.sampled_from([SubWorkflowTask, type(tasks[0].task_spec)])
    masks = st.sampled_from(
        [TaskState.ANY_MASK, TaskState.FINISHED_MASK, TaskState.NOT_FINISHED_MASK]
    )
    return st.fixed_dictionaries(
        {},
        optional={
            "state": st.one_of(masks, st.sampled_from([1 << bit for bit in range(9)])),
            "spec_name": names,
            "end_at_spec": names,
            "spec_class": classes,
            "updated_ts": st.one_of(times, times.map(lambda time: time + 0.001)),
            "manual": st.booleans(),
            "lane": st.sampled_from([None, "a lane"]),
            "max_depth": st.integers(0, 30),
            "depth_first": st.booleans(),
            **({} if models.SPIFF_VERSION < (3, 1) else {"skip_subprocesses": st.booleans()}),
        },
    )


def found(workflow, method, arguments):
    """The ids that a method returns, or its error: some walks of SpiffWorkflow raise errors."""
    try:
        tasks = getattr(workflow, method)(**arguments)
    except IndexError as error:
        return repr(error)
    return ids(tasks if isinstance(tasks, list) else filter(None, [tasks]))


@pytest.mark.parametrize("name", ["lane", "catches_event", "skip_subprocesses", "no_such_name"])
def test_a_subprocess_refuses_the_arguments_that_the_engine_refuses(name):
    """In SpiffWorkflow 3.0, those that only the iterator of a workflow knows."""
    refused = []
    for workflow in both(*next(one for one in states() if one[0].name == "nested_calls")):
        subprocess = next(one for one in workflow.subprocesses.values() if one.is_completed())
        try:
            refused.append(subprocess.get_tasks(state=TaskState.READY, **{name: None}))
        except TypeError as error:
            refused.append(str(error))
    assert refused[0] == refused[1]


@given(st.data())
def test_get_tasks_gives_the_same_tasks_in_the_same_order_for_every_filter(data):
    model, *texts = data.draw(st.sampled_from(states()), label="state")
    whole, units = both(model, *texts)
    for _ in range(3):
        arguments = data.draw(filters(model, whole))
        for method in ("get_tasks", "get_next_task"):
            given = [found(workflow, method, arguments) for workflow in (whole, units)]
            assert given[0] == given[1], arguments


@given(st.data())
def test_a_walk_that_starts_at_any_task_is_the_same(data):
    model, *texts = data.draw(st.sampled_from(states()), label="state")
    whole, units = both(model, *texts)
    start = data.draw(st.sampled_from(ids(whole.get_tasks())))
    arguments = data.draw(filters(model, whole))
    first = [workflow.get_task_from_id(start) for workflow in (whole, units)]
    given = [
        found(workflow, "get_tasks", {"first_task": task, **arguments})
        for workflow, task in zip((whole, units), first)
    ]
    assert given[0] == given[1]


def test_a_filter_of_the_applications_own_sees_every_task():
    class Every(BpmnTaskFilter):
        def matches(self, task):
            return True

    for model, *texts in states():
        whole, units = both(model, *texts)
        own = {"task_filter": Every(state=TaskState.READY)}
        assert ids(units.get_tasks(**own)) == ids(whole.get_tasks(**own))


def test_a_workflow_that_is_opened_whole_equals_one_that_is_restored_whole():
    for model, *texts in states():
        whole, units = both(model, *texts)
        assert list(units.subprocesses) == list(whole.subprocesses)
        lockstep.same_point(whole, units)
        assert not unopened(units)
        for key, subprocess in units.subprocesses.items():
            assert type(subprocess) is type(whole.subprocesses[key])
            assert vars(subprocess).keys() >= vars(whole.subprocesses[key]).keys()


# What opens a piece, and what does not


def test_a_step_opens_nothing():
    loader = new_loader()
    workflow = loader.resume(loader.save(started(loader)), models.script_engine())
    settled = list(workflow.subprocesses)
    do_human_task(workflow)
    loader.save(workflow)
    assert len(settled) == IN_A
    assert unopened(workflow) > 0
    assert all(is_unopened(one) or not one._parent_was_settled for one in ())


def test_what_is_known_of_a_subprocess_does_not_open_it():
    loader = new_loader()
    whole = models.serializer().deserialize_json(
        models.serializer().serialize_json(started(loader))
    )
    workflow = loader.resume(loader.save(whole))
    for key, subprocess in workflow.subprocesses.items():
        native = whole.subprocesses[key]
        assert isinstance(subprocess, BpmnSubWorkflow)
        assert subprocess.__class__ is native.__class__
        assert subprocess.is_completed()
        assert subprocess.parent_task_id == key
        assert subprocess.depth == native.depth
        assert subprocess.top_workflow is workflow
        assert subprocess.get_task_from_id(workflow.task_tree.id) is None
        assert subprocess.get_tasks(state=TaskState.READY) == []
        assert subprocess.get_next_task(spec_name="nothing has this name") is None
        assert (subprocess.parent_workflow is workflow) == (native.parent_workflow is whole)
    assert unopened(workflow) == IN_A
    assert workflow.get_active_subprocesses() == []


@pytest.mark.parametrize(
    "look",
    [
        lambda subprocess: subprocess.task_tree,
        lambda subprocess: subprocess.data,
        lambda subprocess: subprocess.last_task,
        lambda subprocess: setattr(subprocess, "success", False),
        vars,
        copy.copy,
    ],
)
def test_any_other_look_opens_it_and_only_it(look):
    loader = new_loader()
    workflow = loader.resume(loader.save(started(loader, 2)))
    subprocess = next(iter(workflow.subprocesses.values()))
    before = unopened(workflow)
    look(subprocess)
    assert type(subprocess) is BpmnSubWorkflow
    assert unopened(workflow) == before - 1
    assert all(task.workflow is subprocess for task in subprocess.tasks.values())


def test_a_task_is_found_in_a_settled_subprocess_which_alone_is_opened_with_those_above_it():
    loader = new_loader()
    before = started(loader)
    deepest = max(before.subprocesses.values(), key=lambda one: one.depth)
    workflow = loader.resume(loader.save(before))
    task = workflow.get_task_from_id(deepest.task_tree.id)
    assert task.id == deepest.task_tree.id
    assert task.workflow.depth == deepest.depth == 3
    assert len(workflow.subprocesses) - unopened(workflow) == 3


def test_a_task_that_there_is_not_is_told_as_spiffworkflow_tells_it():
    loader = new_loader()
    workflow = loader.resume(loader.save(started(loader)))
    unknown = type(workflow.task_tree.id)(int=0)
    with pytest.raises(TaskNotFoundException):
        workflow.get_task_from_id(unknown)
    assert unknown not in workflow.subprocesses
    assert workflow.subprocesses.get(unknown) is None


def test_a_process_that_completes_opens_nothing_for_a_log_that_nobody_reads():
    loader = new_loader()
    workflow = loader.resume(loader.save(started(loader, 2)), models.script_engine())
    before = unopened(workflow)
    do_human_task(workflow)
    assert workflow.is_completed()
    assert unopened(workflow) >= before


@pytest.mark.skipif(models.SPIFF_VERSION < (3, 1), reason="logs no tasks")
def test_a_log_that_somebody_reads_lists_every_task(caplog):
    loader = new_loader()
    state = loader.save(started(loader, 2))
    whole = models.serializer().deserialize_json(
        models.serializer().serialize_json(loader.resume(state))
    )
    listed = []
    for workflow in (whole, loader.resume(state)):
        workflow.script_engine = models.script_engine()
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="spiff"):
            do_human_task(workflow)
        completed = [one for one in caplog.records if one.message == "Workflow completed"]
        listed.append([len(one.tasks) for one in completed if hasattr(one, "tasks")])
    assert listed[0] == listed[1]
    assert listed[0]


# Changes to what is settled


def test_a_reset_into_a_settled_subprocess_is_the_same():
    loader = new_loader()
    state = loader.save(started(loader, 2))
    whole, units = (
        models.serializer().deserialize_json(
            models.serializer().serialize_json(loader.resume(state))
        ),
        loader.resume(state),
    )
    for target in ids(whole.get_tasks()):
        task = whole.get_task_from_id(target)
        if task.parent is None or task.state != TaskState.COMPLETED:
            continue
        sides = [copy.deepcopy(whole), loader.resume(state)]
        removed = []
        for side in sides:
            side.script_engine = models.script_engine()
            removed.append(ids(side.reset_from_task_id(target)))
        assert removed[0] == removed[1]
        lockstep.same_point(*sides)
    assert units.subprocesses


def test_cancelling_opens_nothing_that_is_settled():
    loader = new_loader()
    workflow = loader.resume(loader.save(started(loader, 2)))
    before = unopened(workflow)
    workflow.cancel()
    assert unopened(workflow) == before


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_is_whole_and_ordinary(copied):
    loader = new_loader()
    state = loader.save(started(loader))
    workflow = loader.resume(state)
    workflow.script_engine = None
    other = copied(workflow)
    assert type(other.subprocesses) is dict
    assert {type(one) for one in other.subprocesses.values()} == {BpmnSubWorkflow}
    assert other.get_tasks_iterator.__func__ is type(other).get_tasks_iterator
    lockstep.same_point(loader.resume(state), other)


def test_spiffworkflows_own_serializer_writes_all_of_it():
    for model, *texts in states():
        whole, units = both(model, *texts)
        serializer = models.serializer()
        wanted = serializer.serialize_json(whole)
        assert lockstep.in_order(serializer.serialize_json(units)) == lockstep.in_order(wanted)


# Pieces apart


class Store(dict):
    """Keeps pieces, and notes which of them were read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list = []

    def read(self, piece_id):
        self.reads.append(piece_id)
        return self[piece_id]

    def write(self, pieces) -> None:
        for piece_id in pieces.removed:
            del self[piece_id]
        self.update(pieces.changed)


def stored(human_tasks: int = 0):
    loader, store = new_loader(), Store()
    store.write(loader.save_pieces(started(loader, human_tasks)))
    return loader, store


def test_a_step_reads_and_writes_the_live_piece_and_what_has_settled_in_it():
    loader, store = stored()
    assert len(store) == 1 + IN_A
    workflow = loader.resume_pieces(store.read, models.script_engine())
    do_human_task(workflow)
    pieces = loader.save_pieces(workflow)
    assert store.reads == ["live"]
    assert len(pieces.changed) == 1 + IN_A
    assert not set(pieces.changed) & set(store) - {"live"}
    assert pieces.removed == ()


def test_saving_again_after_a_failed_transaction_gives_the_same():
    loader, store = stored()
    workflow = loader.resume_pieces(store.read, models.script_engine())
    do_human_task(workflow)
    first = loader.save_pieces(workflow)
    assert loader.save_pieces(workflow) == first


def test_since_tells_only_what_changed_after_the_last_save():
    loader, store = new_loader(), Store()
    workflow = started(loader)
    written = loader.save_pieces(workflow)
    store.write(written)
    again = loader.save_pieces(workflow, since=written)
    assert list(again.changed) == ["live"]
    do_human_task(workflow)
    third = loader.save_pieces(workflow, since=again)
    assert len(third.changed) == 1 + IN_A
    store.write(third)
    assert lockstep.without_specs(loader.join(store.read)) == lockstep.without_specs(
        loader.save(workflow)
    )


def opened_and_saved():
    """A workflow resumed from pieces, all of them opened, and what a save of it tells."""
    loader, store = stored()
    workflow = loader.resume_pieces(store.read, models.script_engine())
    assert len(workflow.get_tasks(spec_name="End")) > IN_A
    written = loader.save_pieces(workflow)
    store.write(written)
    return loader, store, workflow, written


def same_as_one_text(loader, store, workflow) -> bool:
    """Whether the pieces in a store are what `save` writes."""
    return lockstep.without_specs(loader.join(store.read)) == (
        lockstep.without_specs(loader.save(workflow))
    )


def test_since_tells_that_a_subprocess_was_deleted_below_a_piece_that_is_open():
    loader, store, workflow, written = opened_and_saved()
    key, a = next(iter(workflow.subprocesses.items()))
    b = next(task for task in a.tasks.values() if task.id in workflow.subprocesses)
    workflow.delete_subprocess(b)
    again = loader.save_pieces(workflow, since=written)
    store.write(again)
    assert str(key) in again.changed
    assert loader.verify_pieces(store.read) == []
    assert same_as_one_text(loader, store, workflow)


def test_since_tells_that_a_piece_that_is_open_was_cancelled():
    loader, store, workflow, written = opened_and_saved()
    key, a = next(iter(workflow.subprocesses.items()))
    a.cancel()  # its tasks are finished already, and stay as they are
    again = loader.save_pieces(workflow, since=written)
    store.write(again)
    assert set(again.changed) == {"live", str(key)}
    assert same_as_one_text(loader, store, workflow)
    assert list(loader.save_pieces(workflow, since=again).changed) == ["live"]


def test_since_converts_no_piece_again_that_settled_above_others():
    """While it lived, those below it were pieces of whose caller nothing was known."""
    converted = []

    class Converter(BpmnSubWorkflowConverter):
        def to_dict(self, workflow):
            converted.append(workflow)
            return super().to_dict(workflow)

    config = {**SPIFF_CONFIG, BpmnSubWorkflow: Converter}
    serializer = BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure(config))
    loader, store = new_loader(serializer), Store()
    workflow = loader.start(script_engine=models.script_engine())
    while len(store) < 3:  # b and what is embedded in it have settled, a lives
        workflow.run_next()
        store.write(loader.save_pieces(workflow))
    workflow = loader.resume_pieces(store.read, models.script_engine())
    written = loader.save_pieces(workflow)
    workflow.do_engine_steps()
    written = loader.save_pieces(workflow, since=written)
    assert unopened(workflow) == 1
    converted.clear()
    assert list(loader.save_pieces(workflow, since=written).changed) == ["live"]
    assert converted == []


def test_looking_into_a_piece_reads_it_and_writes_nothing_of_it():
    loader, store = stored()
    workflow = loader.resume_pieces(store.read, models.script_engine())
    tasks = workflow.get_tasks()
    assert sorted(store.reads) == sorted(store)
    assert len(tasks) == len(loader.resume(loader.join(store.read)).get_tasks())
    assert list(loader.save_pieces(workflow).changed) == ["live"]


def test_what_is_changed_in_an_opened_piece_is_written():
    loader, store = stored()
    workflow = loader.resume_pieces(store.read)
    subprocess = next(iter(workflow.subprocesses.values()))
    subprocess.data["noted"] = "by hand"
    pieces = loader.save_pieces(workflow)
    assert set(pieces.changed) == {"live", str(subprocess.parent_task_id)}
    store.write(pieces)
    resumed = loader.resume_pieces(store.read)
    assert resumed.subprocesses[subprocess.parent_task_id].data["noted"] == "by hand"


def test_a_reset_removes_pieces_and_what_is_above_lives_again():
    loader, store = stored(2)
    workflow = loader.resume_pieces(store.read, models.script_engine())
    first = next(iter(workflow.subprocesses.values()))
    target = next(task for task in first.get_tasks() if task.task_spec.name.startswith("a_"))
    workflow.reset_from_task_id(target.id)
    pieces = loader.save_pieces(workflow)
    assert str(first.parent_task_id) in pieces.removed
    store.write(pieces)
    assert loader.verify_pieces(store.read) == []
    joined = loader.join(store.read)
    assert lockstep.without_specs(joined) == lockstep.without_specs(loader.save(workflow))
    assert set(store) == set(loader.split(joined).changed)
    lockstep.same_point(workflow, loader.resume_pieces(store.read))


@pytest.mark.parametrize("looks_before", [False, True])
def test_a_reset_after_a_save_removes_what_nobody_had_looked_at_then(looks_before):
    loader, store = stored(2)
    workflow = loader.resume_pieces(store.read, models.script_engine())
    if looks_before:
        workflow.get_tasks()
    saved = loader.save_pieces(workflow)
    store.write(saved)
    first = next(iter(workflow.subprocesses.values()))
    target = next(task for task in first.get_tasks() if task.task_spec.name.startswith("a_"))
    workflow.reset_from_task_id(target.id)
    pieces = loader.save_pieces(workflow, since=saved)
    store.write(pieces)
    assert set(store) == set(loader.split(loader.save(workflow)).changed)
    for _ in range(2):
        assert pieces == loader.save_pieces(workflow, since=saved)
        again = loader.save_pieces(workflow, since=pieces)
        assert (list(again.changed), again.removed) == (["live"], ())
        store.write(again)
        saved, pieces = pieces, again


def test_what_was_only_read_after_a_save_is_not_removed():
    loader, store = stored(2)
    workflow = loader.resume_pieces(store.read, models.script_engine())
    saved = loader.save_pieces(workflow)
    state = loader.save(workflow)  # reads all pieces, and opens none
    assert unopened(workflow)
    pieces = loader.save_pieces(workflow, since=saved)
    assert (list(pieces.changed), pieces.removed) == (["live"], ())
    store.write(pieces)
    assert lockstep.without_specs(loader.join(store.read)) == lockstep.without_specs(state)


def test_a_state_is_split_and_joined():
    for model, state, _ in states():
        loader = loader_of(model)
        pieces = loader.split(state)
        assert lockstep.without_specs(loader.join(pieces.changed.__getitem__)) == (
            lockstep.without_specs(state)
        )
        workflow = loader.resume_pieces(lambda key, at=pieces: at.changed[key].encode())
        lockstep.same_point(loader.resume(state), workflow)


def test_a_state_of_serialize_json_is_split_too():
    loader = new_loader()
    workflow = started(loader)
    state = models.serializer().serialize_json(workflow)
    pieces = loader.split(state)
    assert len(pieces.changed) == 1 + IN_A
    lockstep.same_point(workflow, loader.resume_pieces(pieces.changed.__getitem__))


def test_a_workflow_resumed_from_one_text_goes_on_in_pieces():
    loader = new_loader()
    state = loader.save(started(loader))
    workflow = loader.resume(state, models.script_engine())
    first = loader.save_pieces(workflow)
    assert set(first.changed) == set(loader.split(state).changed)
    do_human_task(workflow)
    second = loader.save_pieces(workflow, since=first)
    assert not set(first.changed) & set(second.changed) - {"live"}
    store = {**first.changed, **second.changed}
    assert lockstep.without_specs(loader.join(store.get)) == lockstep.without_specs(
        loader.save(workflow)
    )


def test_pieces_are_saved_as_one_text_again():
    loader, store = stored(2)
    workflow = loader.resume_pieces(store.read)
    state = loader.save(workflow)
    assert lockstep.in_order(state) == lockstep.in_order(
        loader.save(loader.resume(loader.join(store.read)))
    )


# Damage


def test_damage_of_any_byte_is_told_or_harmless():
    """A flipped bit gives an error that names the piece, when it is read and in `verify_pieces`."""
    loader, store = stored()
    whole = loader.resume_pieces(store.read)
    for piece_id, text in list(store.items()):
        for at in range(0, len(text), 7):
            damaged = text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]
            read = {**store, piece_id: damaged}.__getitem__
            assert [one.piece_id for one in loader.verify_pieces(read)] == [piece_id]
            with pytest.raises(StateError, match=piece_id):
                loader.resume_pieces(read).get_tasks()
    lockstep.same_point(whole, loader.resume_pieces(store.read))


def test_a_missing_piece_is_told_when_it_is_looked_at():
    loader, store = stored()
    gone = next(key for key in store if key != "live")
    for read in (
        {**store, gone: None}.get,
        {k: v for k, v in store.items() if k != gone}.__getitem__,
    ):
        workflow = loader.resume_pieces(read, models.script_engine())
        do_human_task(workflow)
        with pytest.raises(StateError, match=gone):
            workflow.get_tasks()
        assert [one.piece_id for one in loader.verify_pieces(read)] == [gone]


def test_a_piece_in_the_place_of_another_is_told():
    loader, store = stored()
    one, other = [key for key in store if key != "live"][:2]
    with pytest.raises(StateError, match=one):
        loader.resume_pieces({**store, one: store[other]}.__getitem__).get_tasks()


def test_a_piece_is_no_state_and_a_state_no_piece():
    loader, store = stored()
    with pytest.raises(StateError):
        loader.resume(store["live"])
    state = loader.save(started(loader))
    with pytest.raises(StateError, match="live"):
        loader.resume_pieces(lambda key: state)
    with pytest.raises(TypeError):
        loader.resume_pieces("live")
    with pytest.raises(StateError):
        loader.split("{}")


# Classes of the application's own


class Loud(BpmnSubWorkflow):
    """Overrides a method that a stand-in answers without being opened."""

    def is_completed(self):
        return super().is_completed()


class Quiet(BpmnSubWorkflow):
    """Has another attribute, and overrides nothing that a stand-in answers."""

    noted = "a class attribute"


def serializer_of(cls):
    config = {key: value for key, value in SPIFF_CONFIG.items() if key is not BpmnSubWorkflow}
    return BpmnWorkflowSerializer(
        BpmnWorkflowSerializer.configure({**config, cls: BpmnSubWorkflowConverter})
    )


@pytest.mark.parametrize(("cls", "stands_in"), [(Loud, False), (Quiet, True)])
def test_a_subprocess_class_of_the_applications_own_stays_that(cls, stands_in):
    loader = new_loader()
    state = loader.save(started(loader)).replace('"BpmnSubWorkflow"', f'"{cls.__name__}"')
    own = new_loader(serializer_of(cls))
    workflow = own.resume(state)
    assert (unopened(workflow) > 0) == stands_in
    for subprocess in workflow.subprocesses.values():
        assert isinstance(subprocess, cls)
        assert subprocess.is_completed()
        assert subprocess.task_tree.workflow is subprocess
        assert type(subprocess) is cls
    assert lockstep.in_order(own.save(workflow)) == lockstep.in_order(own.save(own.resume(state)))
    if not stands_in:
        with pytest.raises(StateError, match="or its subworkflow class overrides a method"):
            own.save_pieces(workflow)


def test_a_converter_that_looks_at_subprocesses_sees_all_of_them():
    seen = []

    class Looks(BpmnSubWorkflowConverter):
        def to_dict(self, workflow):
            seen.append(len(workflow.top_workflow.subprocesses))
            return super().to_dict(workflow)

    config = {**SPIFF_CONFIG, BpmnSubWorkflow: Looks}
    loader = new_loader(BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure(config)))
    workflow = loader.resume(loader.save(started(loader)))
    next(iter(workflow.subprocesses.values())).data["noted"] = 1
    seen.clear()
    loader.save(workflow)
    assert seen == [IN_A]
