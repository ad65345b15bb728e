"""The models of the tests are what they claim to be.

Each runs on plain SpiffWorkflow to the end that it states, and its spec JSON contains its topic.
Otherwise, other tests with these models would prove nothing about units.
"""

import json
from xml.etree import ElementTree

import driving
import models
import pytest
from models import ALL_MODELS, MODELS

ANY_MODEL = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


def process_specs(model):
    """Each process spec of the model by its id, the null ones left out."""
    spec_json = models.spec_dict(model)
    specs = {spec_json["spec"]["name"]: spec_json["spec"], **spec_json["subprocess_specs"]}
    return {name: spec for name, spec in specs.items() if spec is not None}


def typenames(value):
    """Every typename anywhere in a piece of spec JSON."""
    if isinstance(value, dict):
        own = {value["typename"]} if isinstance(value.get("typename"), str) else set()
        return own.union(*map(typenames, value.values()))
    if isinstance(value, list):
        return set().union(*map(typenames, value))
    return set()


def model_named(name):
    """The model. Skips the test if this SpiffWorkflow does not have it, and says why."""
    if name not in MODELS:
        pytest.skip(ALL_MODELS[name].why_since)
    return MODELS[name]


def task_spec(name, process, task):
    """One task spec of the spec JSON of the model of this name."""
    return process_specs(model_named(name))[process]["task_specs"][task]


def appear_in_order(wanted, actions):
    """Whether the wanted task specs run in this order, with others in between."""
    rest = iter(actions)
    return all(f"run {name}" in rest for name in wanted)


def check_end(model, run):
    """Require that a run has the end that the model states."""
    assert (run.error or "").split(":")[0] == model.error
    assert run.workflow.is_completed() == model.completes
    data = run.final["data"]
    assert {name: data.get(name) for name in model.data} == model.data


# Every model runs.


@ANY_MODEL
def test_it_runs_to_the_end_that_it_states(model):
    run = driving.run(model, driving.start(model))
    check_end(model, run)
    assert appear_in_order(model.runs, run.actions)


@ANY_MODEL
def test_it_runs_to_the_same_end_with_do_engine_steps(model):
    run = driving.run(model, driving.start(model), engine_steps=True)
    if model.engine_steps_error:
        assert run.error.startswith(model.engine_steps_error)
    else:
        check_end(model, run)


@ANY_MODEL
def test_it_takes_the_same_steps_each_time(model):
    first, second = (driving.run(model, driving.start(model)) for _ in range(2))
    assert first.actions == second.actions
    assert first.snapshots == second.snapshots


@ANY_MODEL
def test_it_takes_the_same_steps_when_spiffworkflow_saves_and_restores_it_after_each(model):
    plain = driving.run(model, driving.start(model))
    saved = driving.run(model, driving.start(model), driving.saved_and_restored)
    check_end(model, saved)
    assert saved.actions == plain.actions
    # A note that is no longer true must be removed.
    assert (saved.snapshots != plain.snapshots) == bool(model.own_save_differs)


# Every model shows its topic.


@ANY_MODEL
def test_its_spec_json_has_the_typenames_of_its_topic(model):
    specs = process_specs(model)
    for process, wanted in model.shows.items():
        assert wanted <= typenames(specs[process])


@ANY_MODEL
def test_its_spec_json_is_what_an_application_keeps(model):
    parsed = json.loads(models.spec_json(model))
    assert list(parsed) == ["spec", "subprocess_specs", "serializer_version"]
    assert parsed["spec"]["name"] == model.process_id
    assert models.spec_json(model) == models.spec_json(model)
    assert str(models.FOLDER) not in models.spec_json(model)


@ANY_MODEL
def test_its_spec_json_takes_the_options_of_json_dumps(model):
    text = models.spec_json(model, indent=2, sort_keys=True, ensure_ascii=False)
    assert text.startswith('{\n  "serializer_version"')
    assert json.loads(text) == models.spec_dict(model)


def test_calls_are_three_levels_deep():
    specs = process_specs(MODELS["nested_calls"])
    called, depth = "order", 0
    while True:
        calls = [t["spec"] for t in specs[called]["task_specs"].values() if "spec" in t]
        if not calls:
            break
        called, depth = calls[0], depth + 1
    assert (called, depth) == ("handover", 3)


@pytest.mark.parametrize(
    ("name", "process"), [("recursive_call", "countdown"), ("mutual_recursion", "ping")]
)
def test_a_recursive_process_is_the_root_and_a_subprocess_spec(name, process):
    spec_json = models.spec_dict(MODELS[name])
    assert spec_json["spec"] == spec_json["subprocess_specs"][process]


def test_two_call_activities_call_one_process_whose_element_ids_are_also_the_callers():
    specs = process_specs(MODELS["two_calls"])
    tasks = specs["two_calls"]["task_specs"]
    assert tasks["first_stamp"]["spec"] == tasks["second_stamp"]["spec"] == "stamp"
    shared = set(tasks) & set(specs["stamp"]["task_specs"])
    assert shared >= {"StartEvent_1", "Activity_1", "EndEvent_1"}


def test_embedded_subprocesses_are_nested():
    assert task_spec("nested_embedded", "house", "floor")["spec"] == "floor"
    assert task_spec("nested_embedded", "floor", "room")["spec"] == "room"
    assert task_spec("nested_embedded", "room", "cupboard")["spec"] == "cupboard"


def test_an_external_process_is_null_or_absent():
    null = models.spec_dict(MODELS["external_call"])["subprocess_specs"]
    absent = models.spec_dict(MODELS["external_absent"])["subprocess_specs"]
    assert null["survey"] is None
    assert "survey" not in absent
    assert set(null) - {"survey"} == set(absent)


def test_some_subprocess_specs_are_referred_to_by_nothing():
    spec_json = models.spec_dict(MODELS["unreferenced_specs"])
    assert list(spec_json["subprocess_specs"]) == ["stamp", "survey", "survey_report"]
    assert "survey" not in json.dumps(spec_json["spec"])


@pytest.mark.parametrize(
    ("name", "process", "triggers"),
    [
        ("collaboration", "purchase", ["supplier"]),
        ("event_subprocess_message", "helpdesk", ["helpdesk_on_question"]),
        ("event_subprocess_signal", "plant", ["plant_on_alarm"]),
        ("event_subprocess_call", "shop", ["shop_on_refund"]),
        ("event_subprocess_in_called", "leg", ["leg_on_stop"]),
        ("event_subprocess_timer", "watch", []),
    ],
)
def test_a_start_task_has_trigger_specs(name, process, triggers):
    if models.SPIFF_VERSION < (3, 2):
        pytest.skip("SpiffWorkflow before 3.2 has no trigger specs")
    assert task_spec(name, process, "Start")["trigger_specs"] == triggers


def test_data_objects_belong_to_the_process_and_to_the_embedded_one():
    specs = process_specs(MODELS["data_objects"])
    assert list(specs["ledger"]["data_objects"]) == ["balance"]
    assert list(specs["ledger_post"]["data_objects"]) == ["fee"]


def test_a_called_process_and_a_task_have_io_specifications():
    cook = process_specs(MODELS["io_specification"])["cook"]
    taste = cook["task_specs"]["cook_taste"]

    def ids(owner, side):
        return [one["bpmn_id"] for one in owner["io_specification"][side]]

    assert (ids(cook, "data_inputs"), ids(cook, "data_outputs")) == (["dish"], ["plate"])
    assert (ids(taste, "data_inputs"), ids(taste, "data_outputs")) == (["soup"], ["salt"])


def test_what_is_no_data_input_does_not_reach_the_called_process():
    run = driving.run(MODELS["io_specification"], driving.start(MODELS["io_specification"]))
    assert "salt" not in run.final["data"]


def test_a_called_process_has_correlation_keys_that_reach_the_reply():
    specs = process_specs(MODELS["correlation"])
    assert specs["inquiry"]["correlation_keys"] == {"order_key": ["order_number"]}
    model = MODELS["correlation"]
    run = driving.run(model, driving.start(model))
    asked = run.snapshots[run.actions.index("run inquiry_ask") + 1]
    assert '"correlations": {"order_key": {"order_number": 7}}' in json.dumps(asked["tree"])


def test_human_tasks_have_forms_and_scripts():
    form = task_spec("human_tasks", "application", "application_fill")
    assert form["extensions"]["properties"]["formJsonSchemaFilename"] == "applicant-schema.json"
    assert form["manual"]
    assert form["prescript"] == 'applicant = "you"'
    assert form["postscript"] == "adult = age >= 18"


@pytest.mark.parametrize(
    ("name", "process", "task", "inner"),
    [
        ("multi_instance_call_parallel", "survey_round", "round_calls_question", "question"),
        ("multi_instance_call_sequential", "inventory", "inventory_calls_count", "count"),
        ("multi_instance_embedded", "bakery", "bakery_bake", "bakery_bake"),
        ("multi_instance_nested", "group", "group_calls_match", "match"),
        ("loop_call", "practice", "practice_calls_piece", "piece"),
        ("boundary_multi_instance", "auction", "auction_calls_bid", "bid"),
    ],
)
def test_a_loop_task_names_the_task_that_refers_to_the_process(name, process, task, inner):
    around = task_spec(name, process, task)
    assert "spec" not in around
    assert task_spec(name, process, around["task_spec"])["spec"] == inner


def test_a_decision_table_lies_in_the_called_process():
    rule = task_spec("business_rule", "fare", "fare_decide")
    assert [one["id"] for one in rule["decision_table"]["rules"]] == ["fare_child", "fare_adult"]


def test_tasks_lie_in_lanes():
    assert task_spec("lanes", "leave", "leave_ask")["lane"] == "Staff"
    assert task_spec("lanes", "leave", "leave_review")["lane"] == "Boss"


def test_ids_and_names_are_beyond_ascii_and_the_basic_plane():
    text = models.spec_json(MODELS["non_ascii"], ensure_ascii=False)
    assert all(part in text for part in ("Prozess_Übergröße", "检查流程", "упаковать", "📦", "🔍"))
    assert models.spec_json(MODELS["non_ascii"]).isascii()


def test_uncaught_events_stay_with_the_workflow():
    run = driving.run(MODELS["uncaught_events"], driving.start(MODELS["uncaught_events"]))
    assert [event["name"] for event in run.final["events"]] == ["letter", "flare"]


def test_a_message_starts_a_process_that_nothing_called_before_spiffworkflow_3_2():
    model = MODELS["message_starts_called"]
    run = driving.run(model, driving.start(model))
    assert ("run drill_leave" in run.actions) == (models.SPIFF_VERSION < (3, 2))


# The collection is in order.


def test_every_file_belongs_to_a_model():
    used = {path for model in ALL_MODELS.values() for path in model.bpmn_paths + model.dmn_paths}
    assert used == set(models.FOLDER.iterdir())


@pytest.mark.parametrize("path", sorted(models.FOLDER.iterdir()), ids=lambda path: path.name)
def test_the_ids_of_a_file_are_unique(path):
    ids = [e.get("id") for e in ElementTree.parse(path).iter() if e.get("id") is not None]
    assert len(ids) == len(set(ids))


def test_a_model_that_needs_a_later_spiffworkflow_says_why():
    for model in ALL_MODELS.values():
        assert bool(model.why_since) == (model.since > (3, 0))
    assert set(MODELS) == {m.name for m in ALL_MODELS.values() if m.since <= models.SPIFF_VERSION}


# The driver keeps its promises.


def test_a_snapshot_is_plain_and_is_not_changed_by_later_steps():
    workflow = driving.start(MODELS["parallel_calls"])
    before = driving.snapshot(workflow)
    text = json.dumps(before)
    driving.run(MODELS["parallel_calls"], workflow)
    assert json.dumps(before) == text != json.dumps(driving.snapshot(workflow))


def test_a_driver_does_nothing_when_nothing_is_left_to_do():
    driver, workflow = driving.Driver(MODELS["survey"]), driving.start(MODELS["survey"])
    while driver.step(workflow):
        pass
    end = driving.snapshot(workflow)
    assert driver.step(workflow) is None
    assert driving.snapshot(workflow) == end


def test_a_script_that_does_not_fit_the_workflow_is_an_error():
    with pytest.raises(AssertionError, match="'nowhere' is READY"):
        driving.find_task(driving.start(MODELS["survey"]), "nowhere", 16)
