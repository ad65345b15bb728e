"""`run`: runs a process on units, step by step. It executes the scripts of the model."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any, Optional

import click

from ..cache.store import Place
from ..units import ElementUnits
from ._answers import Answers, parsed
from ._app import Failure, command
from ._output import Output, count, one_line, percent, shown
from ._place import cache_dir, key, opened, parser, process


@command(
    "spiff-element-units run unit-cache Claim Claim --data '{\"amount\": 800}'\n"
    "spiff-element-units run unit-cache order order --answers answers.json --state order.state"
)
@cache_dir
@key
@process
@click.option("--data", help="The data that the process starts with: a JSON object.")
@click.option(
    "--answers",
    type=click.Path(),
    help="A JSON file with answers to human tasks: a list, or an object by element id.",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False),
    help="Resume the instance in this file, if there is one, and save it here.",
)
@click.option(
    "--migrate", is_flag=True, help="Migrate the instance if the workflow has changed since."
)
@parser
def run(
    out: Output,
    cache_dir: Place,
    key: str,
    process_id: str,
    data: Optional[str],
    answers: Optional[str],
    state: Optional[str],
    migrate: bool,
    parser: str,
) -> None:
    """Run a process on units: start PROCESS, execute its steps, ask you to do human tasks.

    To do a human task, give a JSON object with the fields of its form, in --answers or at the
    prompt. The run stops when the process ends, when it waits for an event, or when there is no
    answer. With --state you can resume it later. At the end, the command says which part of the
    workflow was loaded.

    The scripts of the model are executed as Python, with all your permissions. Run only models that
    you trust. Services are not called: put their results into --answers, by the name of the
    operation.
    """
    fields = parsed(data, "--data") if data is not None else {}
    if not isinstance(fields, dict):
        raise Failure('--data must be a JSON object, such as {"amount": 800}')
    with opened(cache_dir, key) as units:
        units.needs(process_id)  # raises an error with suggestions
        runner = _Runner(out, units, process_id, parser, answers)
        if state is not None and os.path.exists(state):
            if data is not None:
                raise click.UsageError(
                    f"--data is only for a new instance, and {state!r} contains an instance",
                    click.get_current_context(),
                )
            runner.resume(state, migrate)
        else:
            runner.start(fields, state)
        runner.go_on()
        runner.report()


class _Runner:
    """One instance, and its steps."""

    def __init__(
        self, out: Output, units: ElementUnits, process_id: str, parser: str, answers: Optional[str]
    ) -> None:
        from ..spiff import SpecLoader  # needs SpiffWorkflow
        from ._models import serializer

        self.out = out
        self.units = units
        self.process_id = process_id
        self.loader = SpecLoader(units, serializer(parser))
        self.answers = Answers(answers, self._say)
        self.engine = _engine(self.answers)
        self.steps: list[dict[str, str]] = []
        self.state: Optional[str] = None
        self.workflow: Any = None
        self._shown: set[Any] = set()  # the (sub)workflows whose names are printed

    def start(self, data: dict[str, Any], state: Optional[str]) -> None:
        """Start the process."""
        self.state = state
        self.workflow = self.loader.start(self.process_id, script_engine=self.engine)
        self.workflow.task_tree.data.update(data)

    def resume(self, state: str, migrate: bool) -> None:
        """Resume a saved instance."""
        with open(state, encoding="utf-8") as stream:
            text = stream.read()
        self.state = state
        if migrate:
            self.workflow = self.loader.migrate(text, script_engine=self.engine)
        else:
            self.workflow = self.loader.resume(text, self.engine)
        mapping = self.workflow.subprocess_specs
        started = mapping.process_id or self.workflow.spec.name
        if started != self.process_id:
            raise Failure(
                f"{state!r} contains an instance of process {started!r}, not {self.process_id!r}"
            )
        self._say(f"resumed from {state}")

    def go_on(self) -> None:
        """Execute steps and human tasks until the end, or until there is no answer."""
        while True:
            self._do_steps()
            tasks = self._human_tasks()
            if self.workflow.is_completed() or not tasks:
                break
            task, fields = self._answered(tasks)
            if fields is None:
                break
            task.data.update(fields)
            with self._scripts():
                task.run()
            self._did(task)
        self._save()

    def _answered(self, tasks: list[Any]) -> tuple[Any, Optional[dict[str, Any]]]:
        """The first task with an answer in the file, or the first task and the prompt's answer."""
        for task in tasks:
            fields = self.answers.fields(task.task_spec.bpmn_id, task.task_spec.name)
            if fields is not None:
                self._introduce(task)
                return task, fields
        self._introduce(tasks[0])
        self._save()
        return tasks[0], self.answers.ask()

    def report(self) -> None:
        """Print the result, and which part of the workflow was loaded."""
        status = "completed" if self.workflow.is_completed() else "waiting"
        last = self.workflow.last_task
        data = last.data if last is not None else self.workflow.data
        loaded = self._loaded()
        sizes = {one: len(self.units.spec_json(one)) for one in self.units.process_ids}
        part = sum(sizes[one] for one in loaded)
        whole = sum(sizes.values())
        waiting = self._waiting()
        if self.out.as_json:
            return self.out.json(
                {
                    "process": self.process_id,
                    "status": status,
                    "waiting_for": waiting,
                    "data": json.loads(json.dumps(data, default=str)),
                    "steps": self.steps,
                    "loaded": {"specs": len(loaded), "bytes": part, "processes": loaded},
                    "whole": {"specs": len(sizes), "bytes": whole},
                    "state": self.state,
                }
            )
        for one in waiting:
            self.out.line(
                f"waiting for {shown(one['element'])} ({one['type']}) in {shown(one['process'])}",
                "yellow",
            )
        self.out.line(f"{status} {shown(self.process_id)}", "bold green")
        self.out.line(f"data: {json.dumps(data, default=str)}")
        if self.state is not None:
            self.out.line(f"saved in {self.state}")
        return self.out.line(
            f"loaded {len(loaded)} of {count(len(sizes), 'spec')}, {self.out.size(part)} of "
            f"{self.out.bytes(whole)}: {percent(part, whole)}",
            "bold",
        )

    # Steps

    def _do_steps(self) -> None:
        """Execute engine steps, including those that become ready by time."""
        from SpiffWorkflow.util.task import TaskState

        while True:
            with self._scripts():
                self.workflow.do_engine_steps(did_complete_task=self._did)
                self.workflow.refresh_waiting_tasks()
            ready = self.workflow.get_tasks(state=TaskState.READY)
            if all(task.task_spec.manual for task in ready):
                return

    def _human_tasks(self) -> list[Any]:
        from SpiffWorkflow.util.task import TaskState

        ready = self.workflow.get_tasks(state=TaskState.READY)
        return [task for task in ready if task.task_spec.manual]

    def _did(self, task: Any) -> None:
        """Record and print a step if it is an element of the model."""
        if getattr(task.task_spec, "bpmn_id", None) is None:
            return
        step = _described(task)
        self.steps.append(step)
        if self.out.as_json:
            return
        workflow = task.workflow
        if workflow not in self._shown:
            self._shown.add(workflow)
            self.out.line(f"{self._guides(workflow)}{shown(step['process'])}", "bold")
        name = one_line(step["name"])
        named = f"  {name}" if name and name != step["element"] else ""
        self.out.line(f"{self._guides(workflow)}  {shown(step['element'])}{named}")

    def _guides(self, workflow: Any) -> str:
        return ("│ " if self.out.terminal else "  ") * int(workflow.depth)

    def _scripts(self) -> Any:
        """Keep what scripts print out of the JSON output."""
        if self.out.as_json:
            return contextlib.redirect_stdout(sys.stderr)
        return contextlib.nullcontext()

    def _introduce(self, task: Any) -> None:
        """Print what a human task asks for."""
        spec = task.task_spec
        step = _described(task)
        title = one_line(getattr(spec, "bpmn_name", None) or step["element"])
        self._say(f"? {title} ({shown(step['element'])} in {shown(step['process'])})", "bold cyan")
        for text in (getattr(spec, "documentation", None), *_form(spec)):
            if text:
                self._say(f"  {one_line(text)}")
        known = json.dumps(task.data, default=str)
        if len(known) < 2_000:
            self._say(f"  data: {known}")

    def _say(self, text: str, style: str = "") -> None:
        """Print a line for the user at the prompt."""
        if not self.out.as_json:
            self.out.line(text, style)
        elif sys.stdin.isatty():
            print(text, file=sys.stderr)

    def _save(self) -> None:
        """Save the instance to its file; keep the old state until the new one is complete."""
        if self.state is None:
            return
        text = self.loader.save(self.workflow)
        beside = f"{self.state}.{os.getpid():x}.tmp"
        try:
            with open(beside, "w", encoding="utf-8") as stream:
                stream.write(text)
            os.replace(beside, self.state)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(beside)
            raise

    # The end

    def _loaded(self) -> list[str]:
        """The processes whose specs were restored, in the order of the workflow."""
        touched = {self.process_id, *self.loader.kept, *self.workflow.subprocess_specs.touched}
        return [one for one in self.units.process_ids if one in touched]

    def _waiting(self) -> list[dict[str, str]]:
        """The elements that the instance waits at."""
        from SpiffWorkflow.bpmn.specs.mixins.subworkflow_task import SubWorkflowTask
        from SpiffWorkflow.util.task import TaskState

        if self.workflow.is_completed():
            return []
        waiting = self.workflow.get_tasks(state=TaskState.WAITING | TaskState.READY)
        return [
            _described(task)
            for task in waiting
            if getattr(task.task_spec, "bpmn_id", None) is not None
            and not isinstance(task.task_spec, SubWorkflowTask)
        ]


def _described(task: Any) -> dict[str, str]:
    spec = task.task_spec
    return {
        "process": task.workflow.spec.name,
        "element": spec.bpmn_id,
        "name": getattr(spec, "bpmn_name", None) or "",
        "type": type(spec).__name__,
    }


def _form(spec: Any) -> list[str]:
    """What a task spec says about its form: instructions, the name of a schema, Camunda fields."""
    told = []
    extensions = getattr(spec, "extensions", None) or {}
    told.append(extensions.get("instructionsForEndUser") or "")
    properties = extensions.get("properties") or {}
    if properties.get("formJsonSchemaFilename"):
        told.append(f"form: {properties['formJsonSchemaFilename']}")
    for field in getattr(getattr(spec, "form", None), "fields", ()):
        options = [str(option.id) for option in getattr(field, "options", ())]
        kind = f"{field.type} of {', '.join(options)}" if options else field.type
        told.append(f"{field.id} ({kind}): {field.label}")
    return told


def _engine(answers: Answers) -> Any:
    """A script engine that executes Python and takes the results of services from the answers."""
    from SpiffWorkflow.bpmn.script_engine import PythonScriptEngine, TaskDataEnvironment

    class Engine(PythonScriptEngine):  # type: ignore[misc]
        def call_service(self, *args: Any, **kwargs: Any) -> str:
            name = kwargs["operation_name"] if "operation_name" in kwargs else args[0]
            answer = answers.given(str(name))
            if answer is None:
                raise Failure(
                    f"a service task calls operation {name!r}, but run does not call services; put "
                    f"its result into --answers, with the key {name!r}"
                )
            return json.dumps(answer)

    return Engine(TaskDataEnvironment())
