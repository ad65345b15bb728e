"""`run` of the command: the tests' models, a prompt, answers in files, and resuming later."""

from __future__ import annotations

import json
import os
from pathlib import Path

import driving
import models
import pytest
from command import EXAMPLES, TOP, command, failing, fill, lacking, plain, terminal
from spiff_bpmn import spec_json

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader

BPMN = TOP / "tests" / "bpmn"
# Models that need only answers to run to their end, and use only SpiffWorkflow's own specs.
ALONE = sorted(
    name
    for name, model in models.MODELS.items()
    if not model.script
    and not model.error
    and not model.engine_steps_error
    and not model.external
    and model.completes
    and "AuditedCall" not in str(model.shows)
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("run"), EXAMPLES, BPMN / "human_tasks.bpmn")


def model_cached(folder: Path, name: str) -> tuple[models.Model, ElementUnits]:
    model = models.MODELS[name]
    units = ElementUnits.from_json(models.spec_json(model))
    units.save(folder / "cache", name)
    return model, units


def written(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ALONE)
def test_a_model_runs_as_it_does_without_the_command(tmp_path: Path, name: str) -> None:
    model, units = model_cached(tmp_path, name)
    answers = written(tmp_path / "answers.json", dict(model.answers))
    done = command(
        "run", tmp_path / "cache", name, model.process_id, "--answers", answers, "--json"
    ).json
    plain_run = driving.run(model, driving.start(model), engine_steps=True).workflow
    assert done["status"] == "completed"
    expected = json.loads(json.dumps(plain_run.last_task.data, default=str))
    assert done["data"] == expected
    assert done["loaded"]["specs"] <= done["whole"]["specs"] == len(units.process_ids)


def test_there_are_models_that_run_alone() -> None:
    assert len(ALONE) > 15


def test_the_json_of_run_has_this_shape(cache: Path) -> None:
    done = command("run", cache, "Claim", "Claim", "--data", '{"amount": 800}', "--json").json
    units = ElementUnits.open(cache, "Claim")
    assert set(done) == {
        "process",
        "status",
        "waiting_for",
        "data",
        "steps",
        "loaded",
        "whole",
        "linked",
        "unused",
        "state",
    }
    assert (done["process"], done["status"]) == ("Claim", "completed")
    assert (done["waiting_for"], done["state"]) == ([], None)
    assert done["data"]["transfer"] == {"to": "DE00", "sum": 700}
    assert done["steps"][1] == {
        "process": "Claim",
        "element": "receive_claim",
        "name": "Receive claim",
        "type": "ScriptTask",
    }
    loaded = ["Claim", "Register", "check_policy", "Settle", "Archive", "Pay"]
    assert sorted(done["loaded"]["processes"]) == sorted(loaded)
    size = {one: len(units.spec_json(one)) for one in units.process_ids}
    assert done["loaded"]["specs"] == len(loaded)
    assert done["loaded"]["bytes"] == sum(size[one] for one in loaded)
    assert done["whole"] == {"specs": 14, "bytes": sum(size.values())}


def test_steps_are_shown_inside_their_processes(cache: Path) -> None:
    done = command("run", cache, "Claim", "Claim", "--data", '{"amount": 800}')
    assert done.lines[:6] == [
        "Claim",
        "  Claim_start",
        "  receive_claim  Receive claim",
        "  Register",
        "    Register_start",
        "    open_file  Open file",
    ]
    assert done.lines[-3] == "completed Claim"
    assert done.lines[-1].startswith("loaded 6 of 14 specs, ")


# Answers


def test_answers_come_from_standard_input_line_by_line(cache: Path) -> None:
    done = command("run", cache, "application", "application", input='{"age": 30}\n\n')
    assert done.code == 0, done.err
    assert "? Fill in the form (application_fill in application)" in done.lines
    assert "  form: applicant-schema.json" in done.lines
    assert "completed application" in done.lines
    assert '"adult": true' in done.out


def test_without_an_answer_the_run_waits(cache: Path) -> None:
    done = command("run", cache, "application", "application", "--json").json
    assert done["status"] == "waiting"
    assert done["waiting_for"] == [
        {
            "process": "application",
            "element": "application_fill",
            "name": "Fill in the form",
            "type": "UserTask",
        }
    ]


def test_a_wrong_answer_is_a_failure_in_a_pipe_and_asked_again_on_a_terminal(cache: Path) -> None:
    arguments = ("run", cache, "application", "application")
    assert "the answer is not JSON" in failing(*arguments, input="{age: 3}\n")
    assert "must be a JSON object" in failing(*arguments, input="[1]\n")
    done = terminal(*arguments, input='{age: 3}\n[1]\n{"age": 3}\n\n')
    assert done.code == 0
    printed = plain(done.out)
    assert "the answer is not JSON" in printed
    assert "must be a JSON object" in printed
    assert "fields as a JSON object" in printed
    assert '"adult": false' in printed
    assert "completed application" in printed


def test_the_end_of_input_at_the_prompt_stops_the_run(cache: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    done = terminal(
        "run", cache, "application", "application", "--state", state, input='{"age": 3}\n\x04'
    )
    assert done.code == 0
    assert "waiting for application_print" in plain(done.out)
    assert "adult" in state.read_text(encoding="utf-8")


def test_answers_are_used_in_turn_or_by_element(cache: Path, tmp_path: Path) -> None:
    arguments = ("run", cache, "application", "application", "--json", "--answers")
    in_turn = written(tmp_path / "list.json", [{"age": 30}, {"signed": 1}])
    assert command(*arguments, in_turn).json["data"]["signed"] == 1
    by_id = written(tmp_path / "object.json", {"application_fill": [{"age": 3}]})
    done = command(*arguments, by_id, input="{}\n").json
    assert (done["status"], done["data"]["adult"]) == ("completed", False)
    assert "must be a JSON object" in failing(*arguments, written(tmp_path / "bad.json", [3]))
    assert "must be a JSON object or list" in failing(*arguments, written(tmp_path / "n.json", 3))


def test_a_services_result_comes_from_the_answers(tmp_path: Path) -> None:
    path = tmp_path / "service.bpmn"
    path.write_text(
        """<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"
          xmlns:s="http://spiffworkflow.org/bpmn/schema/1.0/core" targetNamespace="tests">
        <process id="p" isExecutable="true"><startEvent id="start"/>
          <serviceTask id="ask"><extensionElements>
            <s:serviceTaskOperator id="http/Get" resultVariable="got"><s:parameters/>
            </s:serviceTaskOperator></extensionElements></serviceTask>
          <sequenceFlow id="f" sourceRef="start" targetRef="ask"/>
        </process></definitions>""",
        encoding="utf-8",
    )
    made = fill(tmp_path, path)
    assert "'http/Get'" in failing("run", made, "p", "p")
    answers = written(tmp_path / "answers.json", {"http/Get": {"status": 200}})
    done = command("run", made, "p", "p", "--answers", answers, "--json").json
    assert done["data"]["got"] == {"status": 200}


# State


def test_a_run_goes_on_where_it_stopped(cache: Path, tmp_path: Path) -> None:
    state = tmp_path / "order.state"
    arguments = ("run", cache, "order", "order", "--state", state, "--json")
    first = command(*arguments, "--data", '{"customer": "Ada", "pieces": 3}').json
    assert first["waiting_for"][0]["element"] == "order_check"
    assert first["state"] == str(state)
    waited = []
    for _ in range(10):
        done = command(*arguments, input="\n").json
        if done["status"] == "completed":
            break
        waited.append(done["waiting_for"][0]["element"])
    assert done["status"] == "completed"
    assert len(waited) > 1
    at_once = command(
        "run",
        cache,
        "order",
        "order",
        "--data",
        '{"customer": "Ada", "pieces": 3}',
        "--json",
        input="\n" * 10,
    ).json
    assert done["data"] == at_once["data"]
    assert sorted(os.listdir(tmp_path)) == ["order.state"]
    says = failing(*arguments, "--data", "{}", code=2)
    assert "is only for a new instance" in says
    says = failing("run", cache, "order", "payment", "--state", state)
    assert "contains an instance of process 'order', not 'payment'" in says
    state.write_text("{}", encoding="utf-8")
    failing(*arguments)


def test_the_library_resumes_what_the_command_saved(cache: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    command("run", cache, "order", "order", "--state", state, "--data", '{"pieces": 1}')
    from_library = SpecLoader(ElementUnits.open(cache, "order"), models.serializer())
    workflow = from_library.resume(state.read_text(encoding="utf-8"))
    assert workflow.last_task.data["pieces"] == 1


def test_an_instance_of_a_changed_process_is_migrated_when_that_is_asked_for(
    tmp_path: Path,
) -> None:
    for key, more in (("1", []), ("2", [("human",)])):
        text = spec_json({"p": [("human",), ("human",), *more]}, "p")
        ElementUnits.from_json(text).save(tmp_path / "cache", key)
    where = ("p", "--state", tmp_path / "s")
    command("run", tmp_path / "cache", "1", *where)
    assert "it can be migrated" in failing("run", tmp_path / "cache", "2", *where)
    done = command("run", tmp_path / "cache", "2", *where, "--migrate", input="\n\n\n")
    assert done.code == 0, done.err
    assert "completed p" in done.lines


# What goes wrong


def test_an_error_in_a_script_names_the_element(cache: Path) -> None:
    done = command("run", cache, "Claim", "Claim")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "name 'amount' is not defined" in done.err
    assert "(element 'receive_claim' of process 'Claim')" in done.err


def test_a_process_that_nobody_has_names_the_element(tmp_path: Path) -> None:
    made = fill(tmp_path, BPMN / "external_call.bpmn")
    key = command("ls", made, "--json").json["workflows"][0]["key"]
    done = command("run", made, key, key, input='{"damage": 200}\n' * 5)
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "survey" in done.err


def test_what_scripts_print_is_not_in_the_json(tmp_path: Path) -> None:
    units = ElementUnits.from_json(spec_json({"p": [("script", "print('hello')")]}, "p"))
    units.save(tmp_path, "p")
    done = command("run", tmp_path, "p", "p", "--json")
    assert done.json["status"] == "completed"
    assert done.err == "hello\n"


def test_a_timer_or_a_message_is_waited_for(tmp_path: Path) -> None:
    model, _ = model_cached(tmp_path, "boundary_message")
    done = command("run", tmp_path / "cache", model.name, model.process_id, "--json").json
    assert done["status"] == "waiting"
    assert {one["type"] for one in done["waiting_for"]} & {"BoundaryEvent", "UserTask"}


def test_data_must_be_a_json_object(cache: Path) -> None:
    arguments = ("run", cache, "Claim", "Claim", "--data")
    assert "--data is not JSON" in failing(*arguments, "{amount}", code=2)
    assert "--data must be" in failing(*arguments, "[]", code=2)
    assert "no process 'Cleim'" in failing("run", cache, "Claim", "Cleim")


def test_without_spiffworkflow_run_says_how_to_install_it(cache: Path) -> None:
    says = failing("run", cache, "Claim", "Claim", program=lacking("SpiffWorkflow"))
    assert "pip install 'SpiffWorkflow>=3.0,<4'" in says
