"""The instance that `run` runs: its steps, its state, and what is told about it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any, Optional

from ..spiff import SpecLoader
from ..units import ElementUnits
from ._answers import Answers
from ._app import PROGRAM, Failure
from ._engine import engine, lacking
from ._events import Events, given
from ._links import Links
from ._models import serializer
from ._output import Output, count, one_line, percent, shown


class Stopped(Exception):
    """The instance has run as many elements as `--max-steps` says."""


class Runner:
    """One instance, and its steps. It must be equipped before it starts or resumes."""

    def __init__(
        self,
        out: Output,
        units: ElementUnits,
        process_id: Optional[str],
        parser: str,
        answers: Optional[str],
        links: Optional[Links],
    ) -> None:
        self.out = out
        self.units = units
        self.asked = process_id
        self.process_id = process_id or units.root
        self.links = links
        find = None if links is None else links.find
        self.loader = SpecLoader(units, serializer(parser), resolve=find)
        self.answers = Answers(answers, self.say)
        self.engine: Any = None
        self.events: Any = None
        self.max_steps: Optional[int] = None
        self.stopped = False
        self.steps: list[dict[str, str]] = []
        self.state: Optional[str] = None
        self.workflow: Any = None
        self._shown: set[Any] = set()  # the (sub)workflows whose names are printed

    def equip(
        self,
        script_engine: Optional[str],
        messages: tuple[str, ...],
        signals: tuple[str, ...],
        timers: Optional[str],
        max_steps: Optional[int],
    ) -> None:
        """Set what scripts may call, what happens from outside, and how far the instance runs."""
        self.engine = engine(script_engine, self.answers)
        self.events = Events(given(messages, signals), timers, self.say)
        self.max_steps = max_steps

    def start(self, data: dict[str, Any], state: Optional[str]) -> None:
        """Start the process."""
        self._will_save_in(state)
        self.workflow = self.loader.start(self.process_id, script_engine=self.engine)
        self.workflow.task_tree.data.update(data)

    def resume(self, state: str, migrate: bool) -> None:
        """Resume a saved instance."""
        with open(state, encoding="utf-8") as stream:
            text = stream.read()
        self._will_save_in(state)
        if migrate:
            self.workflow = self.loader.migrate(text, script_engine=self.engine)
        else:
            self.workflow = self.loader.resume(text, self.engine)
        mapping = self.workflow.subprocess_specs
        started = mapping.process_id or self.workflow.spec.name
        if started != (self.asked or started):
            raise Failure(
                f"{state!r} contains an instance of process {started!r}, not {self.asked!r}"
            )
        self.process_id = started
        self.say(f"resumed from {state}")

    def run(self) -> None:
        """Run the instance as far as it goes, and save it."""
        try:
            self._go_on()
        except Stopped:
            self.stopped = True
        except SystemExit as error:
            raise Failure(
                "a script of the model ends Python, as exit() does; remove that from the script"
            ) from error
        except Exception as error:
            linked = () if self.links is None else self.links.opened
            raise lacking(error, (self.units, *linked)) or error from error.__cause__
        self._save()

    def _go_on(self) -> None:
        """Execute steps, events and human tasks until the end, or until nothing can go on."""
        while True:
            self._do_steps()
            if self.workflow.is_completed():
                break
            if self.events.deliver(self.workflow):
                continue
            tasks = self._human_tasks()
            if tasks and self._do_human_task(tasks):
                continue
            if not self.events.pass_time(self.workflow):
                break

    def _do_human_task(self, tasks: list[Any]) -> bool:
        """Complete a human task; False if there is no answer."""
        self._will(tasks[0])  # before anybody is asked
        task, fields = self._answered(tasks)
        if fields is None:
            return False
        task.data.update(fields)
        with self._scripts():
            task.run()
        self._did(task)
        return True

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

    def report(self) -> int:
        """Print the result, and which part of the workflow was loaded. Returns the exit code."""
        status = "completed" if self.workflow.is_completed() else "waiting"
        if self.stopped:
            status = "stopped"
        code = 1 if self.stopped else 0
        last = self.workflow.last_task
        data = last.data if last is not None else self.workflow.data
        loaded = self._loaded()
        sizes = {one: len(self.units.spec_json(one)) for one in self.units.process_ids}
        part = sum(sizes[one] for one in loaded)
        whole = sum(sizes.values())
        waiting = self._waiting()
        linked = dict(self.links.used) if self.links is not None else {}
        if self.stopped:
            print(f"{PROGRAM}: stopped after {self.max_steps} steps (--max-steps)", file=sys.stderr)
        if self.out.as_json:
            self.out.json(
                {
                    "process": self.process_id,
                    "status": status,
                    "waiting_for": waiting,
                    "data": json.loads(json.dumps(data, default=str)),
                    "steps": self.steps,
                    "loaded": {"specs": len(loaded), "bytes": part, "processes": loaded},
                    "whole": {"specs": len(sizes), "bytes": whole},
                    "linked": [{"process": one, "key": of} for one, of in linked.items()],
                    "unused": [{"kind": one.word, "name": one.name} for one in self.events.left],
                    "state": self.state,
                }
            )
            return code
        for one in waiting:
            self.out.line(
                f"waiting for {shown(one['element'])} ({one['type']}) in {shown(one['process'])}",
                "yellow",
            )
        for event in self.events.left:
            self.out.line(f"nothing waits for {event.word} {shown(event.name)}", "yellow")
        self.out.line(f"{status} {shown(self.process_id)}", "bold green")
        self.out.line(f"data: {json.dumps(data, default=str)}")
        if self.state is not None:
            self.out.line(f"saved in {self.state}")
        for process_id, of in linked.items():
            others = self.links.others.get(process_id, []) if self.links else []
            also = f" (also in {', '.join(map(shown, others))})" if others else ""
            self.out.line(f"{shown(process_id)} is from {shown(of)}{also}")
        self.out.line(
            f"loaded {len(loaded)} of {count(len(sizes), 'spec')}, {self.out.size(part)} of "
            f"{self.out.bytes(whole)}: {percent(part, whole)}",
            "bold",
        )
        return code

    # Steps

    def _do_steps(self) -> None:
        """Execute engine steps, including those that become ready by time."""
        from SpiffWorkflow.util.task import TaskState

        while True:
            with self._scripts():
                self.workflow.do_engine_steps(self._will, self._did)
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
        if not self.out.as_json:
            self._show_step(task.workflow, step)

    def _will(self, task: Any) -> None:
        """Stop before an element that is one too many."""
        if len(self.steps) == self.max_steps and getattr(task.task_spec, "bpmn_id", None):
            raise Stopped

    def _show_step(self, workflow: Any, step: dict[str, str]) -> None:
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
        self.say(f"? {title} ({shown(step['element'])} in {shown(step['process'])})", "bold cyan")
        for text in (getattr(spec, "documentation", None), *_form(spec)):
            if text:
                self.say(f"  {one_line(text)}")
        known = json.dumps(task.data, default=str)
        if len(known) < 2_000:
            self.say(f"  data: {known}")

    def say(self, text: str, style: str = "") -> None:
        """Print a line for the user at the prompt."""
        if not self.out.as_json:
            self.out.line(text, style)
        elif sys.stdin.isatty():
            print(text, file=sys.stderr)

    def _will_save_in(self, state: Optional[str]) -> None:
        """Choose the file for `_save`. Raises OSError if it cannot be written."""
        self.state = state
        if state is not None:
            beside = _beside(state)
            with open(beside, "w", encoding="utf-8"):
                pass
            os.unlink(beside)

    def _save(self) -> None:
        """Save the instance to its file; keep the old state until the new one is complete."""
        if self.state is None:
            return
        text = self.loader.save(self.workflow)
        beside = _beside(self.state)
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


def _beside(state: str) -> str:
    """The path that a state is written to before it replaces the last one."""
    return f"{state}.{os.getpid():x}.tmp"


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
