"""What `run` of the command gets from outside: functions, messages, signals, time, and a limit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import EXAMPLES, TOP, Done, command, failing, fill
from written import call, catch, process, script, timer, write

BPMN = TOP / "tests" / "bpmn"
SOON = timer("timeDuration", '"PT0.05S"')
LATER = timer("timeDuration", '"P40D"')


@pytest.fixture
def functions(tmp_path: Path) -> Path:
    """A folder with a module of functions and engines."""
    (tmp_path / "mine.py").write_text(
        "from SpiffWorkflow.bpmn.script_engine import PythonScriptEngine, TaskDataEnvironment\n"
        "def double(number):\n    return 2 * number\n"
        "functions = {'double': double}\n"
        "nothing = {}\n"
        "number = 3\n"
        "engine = PythonScriptEngine(TaskDataEnvironment(functions))\n"
        "def made():\n    return engine\n"
        "class Own(PythonScriptEngine):\n"
        "    def __init__(self):\n        super().__init__(TaskDataEnvironment(functions))\n",
        encoding="utf-8",
    )
    return tmp_path


# Functions


@pytest.mark.parametrize("name", ["functions", "engine", "made", "Own"])
def test_scripts_get_the_functions_that_they_call(functions: Path, name: str) -> None:
    path = write(functions / "m.bpmn", process("p", script("n = double(21)")))
    done = command("run", path, "--script-engine", f"mine:{name}", "--json", cwd=functions)
    assert done.json["data"]["n"] == 42


@pytest.mark.parametrize(
    "element",
    [
        script("n = double(21)"),
        script("if True:\n  n = [double (one) for one in [1]]"),
        timer("timeDuration", "double(21)"),
    ],
)
def test_a_function_that_is_not_given_is_named_with_the_way_to_give_it(
    functions: Path, element: str
) -> None:
    path = write(functions / "m.bpmn", process("p", element))
    says = failing("run", path)
    assert "calls the function 'double', which it does not get" in says
    assert "(element 'p_0' of process 'p')" in says
    assert "--script-engine module:functions" in says
    says = failing("run", path, "--script-engine", "mine:nothing", cwd=functions)
    assert "calls the function 'double'" in says


def test_a_script_that_ends_python_is_a_failure(tmp_path: Path) -> None:
    path = write(tmp_path / "m.bpmn", process("p", script("exit(0)")))
    state = tmp_path / "state"
    done = command("run", path, "--state", state)
    assert done.code == 1
    assert done.err == (
        "spiff-element-units: a script of the model ends Python, as exit() does; "
        "remove that from the script\n"
    )
    assert not state.exists()


def test_data_that_is_missing_is_no_missing_function(tmp_path: Path) -> None:
    path = write(tmp_path / "m.bpmn", process("p", script("n = double")))
    says = failing("run", path)
    assert "name 'double' is not defined" in says
    assert "--script-engine" not in says


@pytest.mark.parametrize(
    ("spec", "says", "code"),
    [
        ("mine", "does not have the form module:name", 2),
        ("mine:", "does not have the form module:name", 2),
        ("yours:functions", "cannot be imported: No module named 'yours'", 1),
        ("mine:no", "cannot be imported: module 'mine' has no attribute 'no'", 1),
        ("mine:number", "must be a dict of functions, a script engine", 1),
        ("mine:dict", "cannot be imported", 1),
    ],
)
def test_what_is_no_script_engine_is_refused(
    functions: Path, spec: str, says: str, code: int
) -> None:
    path = write(functions / "m.bpmn", process("p"))
    assert says in failing("run", path, "--script-engine", spec, code=code, cwd=functions)


# Messages and signals


def run_json(*arguments: object) -> dict:
    return command("run", *arguments, "--json").json


def test_a_message_arrives_when_something_waits_for_it(tmp_path: Path) -> None:
    cache = fill(tmp_path, BPMN / "boundary_message.bpmn")
    hint = '{"where": "under the tree"}'
    done = run_json(cache, "quest", "--message", f"hint={hint}", "--message", "withdraw")
    assert done["status"] == "completed"
    assert done["unused"] == []
    elements = [step["element"] for step in done["steps"]]
    assert elements.index("quest_note_hint") < elements.index("quest_give_up")
    assert done["data"]["found"] is False
    done = command("run", cache, "quest", "--message", f"hint={hint}")
    assert "! message hint" in done.lines
    assert "waiting for search_dig (UserTask) in search" in done.lines


@pytest.mark.parametrize("parser", ["bpmn", "spiff", "camunda"])
def test_a_message_brings_its_payload_with_each_parser(tmp_path: Path, parser: str) -> None:
    message = '<message id="m" name="news"/>'
    path = write(
        tmp_path / "m.bpmn",
        message,
        process("p", catch('<messageEventDefinition messageRef="m"/>'), script("n = 1")),
    )
    done = run_json(path, "--parser", parser, "--message", 'news={"of": "today"}')
    assert done["status"] == "completed"
    assert ("today" in json.dumps(done["data"])) == (parser != "spiff")


def test_a_message_starts_a_process_of_a_collaboration(tmp_path: Path) -> None:
    start = '<messageEventDefinition messageRef="m"/>'
    path = write(
        tmp_path / "m.bpmn",
        '<message id="m" name="news"/>',
        process("p", script("n = 1")).replace(
            '<startEvent id="p_start"/>', f'<startEvent id="p_start">{start}</startEvent>'
        ),
    )
    assert run_json(path)["status"] == "waiting"
    done = run_json(path, "--message", "news")
    assert (done["status"], done["data"]["n"]) == ("completed", 1)


def test_a_signal_arrives_when_something_waits_for_it(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.bpmn",
        '<signal id="s" name="go"/>',
        process("p", catch('<signalEventDefinition signalRef="s"/>')),
    )
    assert run_json(path)["status"] == "waiting"
    assert run_json(path, "--signal", "go")["status"] == "completed"
    done = command("run", path, "--signal", "stop", "--signal", "go", "--signal", "go")
    assert done.code == 0
    assert [line for line in done.lines if "nothing waits" in line] == [
        "nothing waits for signal stop",
        "nothing waits for signal go",
    ]
    unused = run_json(path, "--signal", "stop")["unused"]
    assert unused == [{"kind": "signal", "name": "stop"}]


def test_a_payload_must_be_a_json_object(tmp_path: Path) -> None:
    path = write(tmp_path / "m.bpmn", process("p"))
    assert "'m' is not JSON" in failing("run", path, "--message", "m={a}", code=2)
    assert "'m' must be a JSON object" in failing("run", path, "--message", "m=[1]", code=2)


# Timers


@pytest.mark.parametrize(
    "element",
    [LATER, timer("timeDate", '"2199-01-01T00:00:00+00:00"'), timer("timeCycle", '"R2/PT9H"')],
)
def test_timers_stop_a_run_or_are_skipped(tmp_path: Path, element: str) -> None:
    path = write(tmp_path / "m.bpmn", process("p", element, script("n = 1")))
    assert run_json(path)["status"] == "waiting"
    done = run_json(path, "--timers", "skip")
    assert done["status"] == "completed"
    assert "p_1" in [step["element"] for step in done["steps"]]


def test_skipped_time_passes_for_all_timers(tmp_path: Path) -> None:
    """Forty days pass once, and not once for each timer that waits at the same time."""
    path = write(
        tmp_path / "m.bpmn",
        process("p", call("long"))
        .replace("</process>", "")
        .replace(
            'targetRef="p_0"/>',
            'targetRef="p_0"/><sequenceFlow id="b" sourceRef="p_start" targetRef="second"/>',
        )
        + '<callActivity id="second" calledElement="short"/></process>',
        process("long", LATER),
        process("short", *[timer("timeDuration", '"P30D"')] * 2),
    )
    lines = command("run", path, "p", "--timers", "skip").lines
    assert [line for line in lines if line.startswith("! skips")] == [
        "! skips 30 days, 0:00:00",
        "! skips 10 days, 0:00:00",
        "! skips 20 days, 0:00:00",
    ]
    assert "completed p" in lines


def test_timers_can_be_waited_for(tmp_path: Path) -> None:
    path = write(tmp_path / "m.bpmn", process("p", SOON, script("n = 1")))
    done = command("run", path, "--timers", "wait")
    assert done.code == 0, done.err
    assert any(line.startswith("! waits until 2") for line in done.lines)
    assert "completed p" in done.lines


def test_a_human_task_is_done_before_its_timer_comes(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.bpmn",
        process("p", "<manualTask />").replace("</process>", "")
        + '<boundaryEvent id="late" attachedToRef="p_0"><timerEventDefinition><timeDuration>'
        '"P1D"</timeDuration></timerEventDefinition></boundaryEvent></process>',
    )
    steps = command("run", path, "--timers", "skip", "--json", input="{}\n").json["steps"]
    assert "late" not in [step["element"] for step in steps]
    steps = command("run", path, "--timers", "skip", "--json").json["steps"]
    assert "late" in [step["element"] for step in steps]


# Steps


def endless(path: Path) -> Path:
    text = process("p", "<exclusiveGateway />", script("n = n + 1"))
    return write(path, text.replace('targetRef="p_end"', 'targetRef="p_0"'))


def test_a_loop_without_end_is_stopped_and_goes_on_from_there(tmp_path: Path) -> None:
    path = endless(tmp_path / "m.bpmn")

    def run(*more: object) -> Done:
        return command("run", path, "--max-steps", 7, "--state", tmp_path / "s", "--json", *more)

    first, second = run("--data", '{"n": 0}'), run()
    for done, n in ((first, 3), (second, 6)):
        assert done.code == 1
        assert done.err == "spiff-element-units: stopped after 7 steps (--max-steps)\n"
        found = json.loads(done.out)
        assert (found["status"], len(found["steps"])) == ("stopped", 7)
        assert found["data"]["n"] == n


def test_a_run_of_just_so_many_steps_is_not_stopped(tmp_path: Path) -> None:
    path = write(tmp_path / "m.bpmn", process("p", script("n = 1"), "<manualTask />"))
    done = command("run", path, "--max-steps", 4, input="{}\n")
    assert done.code == 0, done.err
    assert "completed p" in done.lines
    done = command("run", path, "--max-steps", 3, input="{}\n")
    assert done.code == 1
    assert "stopped p" in done.lines
    done = command("run", path, "--max-steps", 2, input="{}\n")
    assert "stopped p" in done.lines
    assert "? p_1" not in done.out  # nobody is asked for an answer that is not used
    assert "0 is not in the range" in failing("run", path, "--max-steps", 0, code=2)


# Files, and the process that runs


def test_run_takes_a_file_and_its_root(tmp_path: Path) -> None:
    of_cache = command("run", fill(tmp_path, EXAMPLES), "Claim", "--data", '{"amount": 800}')
    of_file = command("run", EXAMPLES / "claim.bpmn", "--data", '{"amount": 800}')
    assert of_cache.lines[-3:-1] == of_file.lines[-3:-1]
    assert of_cache.lines[-1] == of_file.lines[-1]
    done = command("run", EXAMPLES / "claim.bpmn", "Pay", "--data", '{"paid": 1}')
    assert "completed Pay" in done.lines
    spec = tmp_path / "spec.json"
    spec.write_text(command("unit", EXAMPLES / "claim.bpmn", "--defer", "nothing").out)
    assert "completed Claim" in command("run", spec, "--data", '{"amount": 800}').lines


def test_a_file_finds_what_it_needs_beside_it(tmp_path: Path) -> None:
    for name in ("business_rule.bpmn", "fare.dmn"):
        (tmp_path / name).write_bytes((BPMN / name).read_bytes())
    done = run_json_with(tmp_path / "business_rule.bpmn", '{"age": 30}\n')
    assert done["data"]["price"] == 12
    caller = write(tmp_path / "a.bpmn", process("a", call("b")))
    write(tmp_path / "b.bpmn", process("b", call("a2")), process("calls_a", call("a")))
    write(tmp_path / "c.bpmn", process("a2", script("n = 1")))
    assert run_json(caller)["status"] == "completed"


def run_json_with(path: Path, answers: str) -> dict:
    return command("run", path, "--json", input=answers).json


def test_what_cannot_be_run_is_told(tmp_path: Path) -> None:
    cache = fill(tmp_path, EXAMPLES)
    assert "name a key of that cache" in failing("run", cache, code=2)
    says = failing("run", EXAMPLES / "orders.bpmn")
    assert "name the root process; the model has: 'order', 'complaint'" in says
    says = failing("run", cache, "Claim", "nope")
    assert "no process 'nope' in the workflow of 'Claim'; it has: 'Claim', 'Register', " in says
    assert says.endswith(" and 2 more")
    assert "takes one process" in failing("run", cache, "Claim", "Claim", "Pay", code=2)
    assert "answers from standard input" in failing("run", "-", code=2)
    assert "No such file" in failing("run", tmp_path / "gone.bpmn")
    assert "No such file" in failing("run", tmp_path / "gone")
    drawn = write(tmp_path / "drawn.bpmn", process("drawn", executable=False))
    for name in ("run", "unit", "show", "graph"):
        says = failing(name, drawn)
        assert says.endswith("no process in the BPMN files is executable; set isExecutable to true")


def test_a_state_is_resumed_without_naming_its_process(tmp_path: Path) -> None:
    state = tmp_path / "state"
    arguments = ("run", fill(tmp_path, EXAMPLES), "Claim")
    command(*arguments, "Pay", "--state", state, "--max-steps", 2, "--data", '{"paid": 1}')
    done = command(*arguments, "--state", state)
    assert "completed Pay" in done.lines
