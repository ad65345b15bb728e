"""The BPMN models that the tests run, and the spec JSON that an application would make of them.

What this module promises:

- ``MODELS`` maps a name to a ``Model``. Each model shows one topic and lies in ``bpmn/``. A model
  that the installed SpiffWorkflow cannot parse or run is left out of ``MODELS``; ``ALL_MODELS``
  has them all, each with its ``since`` and the reason (``why_since``).
- ``spec_json`` gives the text ``{"spec", "subprocess_specs", "serializer_version"}``, the same at
  every call and on every machine: no path of this machine is in it.
- ``serializer`` and ``script_engine`` return new objects at every call, so tests do not affect one
  another.
- Nothing here waits, reads a clock or uses a random number. A timer of a model was due long ago, is
  never due, or becomes due by a ``Timer`` of the script.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Union

import SpiffWorkflow.version
from SpiffWorkflow.bpmn.parser import ProcessParser
from SpiffWorkflow.bpmn.parser.util import full_tag
from SpiffWorkflow.bpmn.script_engine import PythonScriptEngine, TaskDataEnvironment
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.spiff.parser import SpiffBpmnParser
from SpiffWorkflow.spiff.parser.process import SpiffProcessParser
from SpiffWorkflow.spiff.parser.task_spec import CallActivityParser, SpiffTaskParser
from SpiffWorkflow.spiff.serializer.config import SPIFF_CONFIG
from SpiffWorkflow.spiff.serializer.task_spec import (
    SpiffBpmnTaskConverter,
    SubWorkflowTaskConverter,
)
from SpiffWorkflow.spiff.specs.defaults import CallActivity, NoneTask

FOLDER = Path(__file__).parent / "bpmn"
SPIFF_VERSION = tuple(map(int, re.findall(r"\d+", SpiffWorkflow.version.__version__)[:3]))


# Extensions of SpiffWorkflow by an application: task specs with typenames of their own.


class CountedTask(NoneTask):
    """A task that counts in its data how many of its kind have run."""

    def _run_hook(self, my_task):
        my_task.data["counted"] = my_task.data.get("counted", 0) + 1
        return super()._run_hook(my_task)


class AuditedCall(CallActivity):
    """A call activity with a typename that only the application knows."""

    def __init__(self, wf_spec, bpmn_id, subworkflow_spec, auditor="nobody", **kwargs):
        super().__init__(wf_spec, bpmn_id, subworkflow_spec, **kwargs)
        self.auditor = auditor


class AuditedCallConverter(SubWorkflowTaskConverter):
    """Writes an ``AuditedCall`` with its auditor."""

    def to_dict(self, spec):
        return {**super().to_dict(spec), "auditor": spec.auditor}


class CustomParser(SpiffBpmnParser):
    """Makes a ``CountedTask`` of every task and an ``AuditedCall`` of every call activity."""

    OVERRIDE_PARSER_CLASSES: ClassVar[dict] = {
        **SpiffBpmnParser.OVERRIDE_PARSER_CLASSES,
        full_tag("task"): (SpiffTaskParser, CountedTask),
        full_tag("callActivity"): (CallActivityParser, AuditedCall),
    }


class AdHocParser(SpiffBpmnParser):
    """Gives ad-hoc subprocesses data objects that SpiffWorkflow's spiff serializer knows."""

    if hasattr(ProcessParser, "AdHocParser"):  # SpiffWorkflow 3.2

        class AD_HOC_PARSER_CLASS(ProcessParser.AdHocParser, SpiffProcessParser):
            """Reads data objects as any other process parser of this parser does."""


# The actions in the script of a model.


@dataclass(frozen=True)
class Message:
    """A message from outside."""

    name: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    correlations: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Signal:
    """A signal from outside."""

    name: str


@dataclass(frozen=True)
class Timer:
    """The time of the first waiting timer of this task spec has come."""

    task_spec: str


@dataclass(frozen=True)
class Answer:
    """A human task that is completed at this point and not as soon as it is ready."""

    task_spec: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reset:
    """Somebody takes the workflow back to the first completed task of this task spec."""

    task_spec: str


@dataclass(frozen=True)
class Cancel:
    """Somebody cancels the whole workflow."""


Action = Union[Message, Signal, Timer, Answer, Reset, Cancel]


@dataclass(frozen=True, eq=False)
class Model:
    """One BPMN model, how it is driven, and what must come out.

    ``shows`` names for each process the typenames in its spec that make the topic. A human task
    is completed as soon as it is ready if ``answers`` has its task spec; others wait for an
    ``Answer`` of the ``script``. The actions of the script follow one another whenever the
    workflow can do nothing by itself.
    """

    name: str
    process_id: str
    topic: str
    shows: Mapping[str, frozenset]
    files: tuple = ()  # BPMN files; none given: <name>.bpmn
    dmn_files: tuple = ()
    parser: type = SpiffBpmnParser
    collaboration: bool = False  # process_id is that of a collaboration
    all_specs: bool = False  # with the processes that nothing refers to
    external: tuple = ()  # called processes that are in none of the files
    external_null: bool = True  # they are null in the spec JSON, else absent from it
    since: tuple = (3, 0)  # the first SpiffWorkflow that runs it
    why_since: str = ""
    answers: Mapping[str, Mapping] = field(default_factory=dict)
    script: tuple = ()
    runs: tuple = ()  # task specs that run, in this order, others in between
    data: Mapping[str, Any] = field(default_factory=dict)  # part of the workflow's final data
    completes: bool = True
    error: str = ""  # the type of the exception that ends the run
    engine_steps_error: str = ""  # the same, if only SpiffWorkflow's do_engine_steps fails
    own_save_differs: str = ""  # why SpiffWorkflow's own save and restore changes the run

    @property
    def bpmn_paths(self):
        """The paths of its BPMN files."""
        return [FOLDER / name for name in self.files or (f"{self.name}.bpmn",)]

    @property
    def dmn_paths(self):
        """The paths of its DMN files."""
        return [FOLDER / name for name in self.dmn_files]

    def __repr__(self):
        return f"Model({self.name!r})"


def serializer() -> BpmnWorkflowSerializer:
    """A new serializer that knows SpiffWorkflow's spiff specs and the two custom ones."""
    config = dict(SPIFF_CONFIG)
    config[CountedTask] = SpiffBpmnTaskConverter
    config[AuditedCall] = AuditedCallConverter
    return BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure(config))


def script_engine() -> PythonScriptEngine:
    """A new script engine whose scripts see plain Python and their task's data."""
    return PythonScriptEngine(TaskDataEnvironment())


def parser(model: Model) -> SpiffBpmnParser:
    """A parser that has read the files of ``model``."""
    made = model.parser()
    for path in model.dmn_paths:
        with path.open("rb") as stream:
            made.add_dmn_io(stream, path.name)
    for path in model.bpmn_paths:
        # Bytes, because the file states its encoding; the name alone, because specs keep it.
        with path.open("rb") as stream:
            made.add_bpmn_io(stream, path.name)
    return made


def parse(model: Model):
    """The root spec and the subprocess specs of ``model``, parsed anew."""
    made = parser(model)
    if model.collaboration:
        return made.get_collaboration(model.process_id)
    root = made.get_spec(model.process_id)
    subprocesses = made.get_subprocess_specs(
        model.process_id, require_call_activity_specs=not model.external
    )
    if model.all_specs:
        found = made.find_all_specs()
        subprocesses.update({name: found[name] for name in found if name != model.process_id})
    if not model.external_null:
        subprocesses = {name: spec for name, spec in subprocesses.items() if spec is not None}
    return root, subprocesses


@cache
def _converted(model: Model) -> str:
    made = serializer()
    root, subprocesses = parse(model)
    workflow = {
        "spec": made.registry.convert(root),
        "subprocess_specs": {
            name: made.registry.convert(spec) for name, spec in subprocesses.items()
        },
        made.VERSION_KEY: made.VERSION,
    }
    return json.dumps(workflow)


def spec_dict(model: Model) -> dict:
    """What ``spec_json`` writes, as a new dict."""
    return json.loads(_converted(model))


def spec_json(model: Model, **json_dumps_options) -> str:
    """The spec JSON of ``model``, written with ``json.dumps`` and these options."""
    if not json_dumps_options:
        return _converted(model)
    return json.dumps(spec_dict(model), **json_dumps_options)


def _shows(**typenames: str) -> dict:
    return {process: frozenset(names.split()) for process, names in typenames.items()}


DETACHED_LOST = "it saves the subprocesses of removed tasks and does not restore them"
NO_AD_HOC = "SpiffWorkflow before 3.2 has no ad-hoc subprocesses"
NO_EVENT_SUBPROCESS = "SpiffWorkflow before 3.2 ignores event subprocesses"

ALL_MODELS = {
    model.name: model
    for model in (
        Model(
            name="nested_calls",
            process_id="order",
            topic="calls three levels deep, a human task at the bottom",
            shows=_shows(
                order="CallActivity",
                delivery="CallActivity",
                transport="CallActivity",
                handover="UserTask",
            ),
            answers={"handover_sign": {"signed_by": "Ada"}},
            data={"path": ["order", "delivery", "transport"], "signed_by": "Ada", "closed": True},
        ),
        Model(
            name="recursive_call",
            process_id="countdown",
            topic="a process that calls itself",
            shows=_shows(countdown="CallActivity"),
            data={"left": 0},
        ),
        Model(
            name="mutual_recursion",
            process_id="ping",
            topic="two processes that call each other",
            shows=_shows(ping="CallActivity", pong="CallActivity"),
            data={"rally": ["ping", "pong", "ping", "pong", "ping"]},
        ),
        Model(
            name="two_calls",
            process_id="two_calls",
            files=("two_calls.bpmn", "stamp.bpmn"),
            topic="two calls of one process, whose element ids are those of its caller",
            shows=_shows(two_calls="CallActivity", stamp="ManualTask"),
            answers={"Activity_1": {}},
            data={"stamps": [1, 2]},
        ),
        Model(
            name="embedded_in_called",
            process_id="hiring",
            topic="an embedded subprocess inside a called process",
            shows=_shows(hiring="CallActivity", interview="SubWorkflowTask"),
            answers={"talk_ask": {"answer": "yes"}},
            data={"rating": 3},
        ),
        Model(
            name="nested_embedded",
            process_id="house",
            topic="embedded subprocesses inside one another, the innermost with a call",
            shows=_shows(
                house="SubWorkflowTask",
                floor="SubWorkflowTask",
                room="SubWorkflowTask",
                cupboard="CallActivity",
            ),
            answers={"tidy_shelf": {}},
            data={"swept": True},
        ),
        Model(
            name="transaction_cancel",
            process_id="booking",
            topic="a transaction that is cancelled from within",
            shows=_shows(
                booking="TransactionSubprocess BoundaryEvent CancelEventDefinition",
                booking_transaction="CallActivity CancelEventDefinition",
            ),
            answers={"transaction_confirm": {"confirmed": False}},
            data={"released": True},
        ),
        Model(
            name="transaction_done",
            process_id="booking",
            files=("transaction_cancel.bpmn",),
            topic="the same transaction, not cancelled, so that its call is made",
            shows=_shows(booking="TransactionSubprocess"),
            answers={"transaction_confirm": {"confirmed": True}},
            data={"paid": True},
        ),
        Model(
            name="parallel_calls",
            process_id="moving_day",
            topic="parallel branches, each with a call",
            shows=_shows(moving_day="ParallelGateway CallActivity"),
            answers={
                "kitchen_pack": {"kitchen": "packed"},
                "cellar_pack": {"cellar": "packed"},
                "moving_drive": {"driven": 10},
            },
            data={"total": 17},
        ),
        Model(
            name="external_call",
            process_id="claim",
            external=("survey",),
            topic="a call of a process that is in no file (null), not made",
            shows=_shows(claim="CallActivity"),
            answers={"claim_report": {"damage": 30}},
            data={"paid": 30},
        ),
        Model(
            name="external_absent",
            process_id="claim",
            files=("external_call.bpmn",),
            external=("survey",),
            external_null=False,
            topic="the same, the process being absent from the subprocess specs",
            shows=_shows(claim="CallActivity"),
            answers={"claim_report": {"damage": 30}},
            data={"paid": 30},
        ),
        Model(
            name="survey",
            process_id="survey",
            topic="the process that external_call calls, a workflow of its own",
            shows=_shows(survey="CallActivity"),
            answers={"survey_visit": {"damage": 300}},
            data={"report": "damage of 300"},
        ),
        Model(
            name="unreferenced_specs",
            process_id="two_calls",
            files=("two_calls.bpmn", "stamp.bpmn", "survey.bpmn"),
            all_specs=True,
            topic="subprocess specs that nothing refers to",
            shows=_shows(survey="CallActivity"),
            answers={"Activity_1": {}},
            data={"stamps": [1, 2]},
        ),
        Model(
            name="collaboration",
            process_id="purchase",
            collaboration=True,
            topic="two participants; a message of the one starts the other",
            shows=_shows(purchase="BpmnStartTask CallActivity", supplier="CallActivity"),
            answers={"customer_choose": {"item": "lamp"}},
            data={"offer": {"price": 40}},
        ),
        Model(
            name="event_subprocess_message",
            process_id="helpdesk",
            since=(3, 2),
            why_since=NO_EVENT_SUBPROCESS,
            topic="an event subprocess that a message starts",
            shows=_shows(
                helpdesk="UserTask", helpdesk_on_question="MessageEventDefinition UserTask"
            ),
            answers={"question_answer": {"answered": True}},
            script=(
                Message("question", {"text": "why"}),
                Answer("helpdesk_work", {"worked": True}),
            ),
            runs=("question_start", "question_answer", "helpdesk_work"),
            data={"worked": True},
        ),
        Model(
            name="custom_task",
            process_id="custom",
            parser=CustomParser,
            topic="task specs of the application's own, a call activity among them",
            shows=_shows(custom="CountedTask AuditedCall", custom_inner="CountedTask"),
            answers={"counted_task": {}, "inner_counted_task": {}},
            data={"counted": 2},
        ),
        Model(
            name="event_subprocess_signal",
            process_id="plant",
            since=(3, 2),
            why_since=NO_EVENT_SUBPROCESS,
            topic="an event subprocess that a signal from within starts, with an embedded one",
            shows=_shows(
                plant="SignalEventDefinition",
                plant_on_alarm="SignalEventDefinition SubWorkflowTask",
            ),
            answers={"evacuate_leave": {}, "plant_watch": {"watched": True}},
            runs=("plant_alarm", "alarm_start", "evacuate_leave"),
            data={"watched": True},
        ),
        Model(
            name="event_subprocess_timer",
            process_id="watch",
            since=(3, 2),
            why_since=NO_EVENT_SUBPROCESS,
            topic="an event subprocess that a timer starts",
            shows=_shows(watch="UserTask", watch_on_time="TimeDateEventDefinition"),
            answers={"time_report": {}},
            script=(Timer("time_start"), Answer("watch_look", {"looked": True})),
            runs=("time_start", "time_report", "watch_look"),
            data={"looked": True},
        ),
        Model(
            name="event_subprocess_code",
            process_id="tank",
            since=(3, 2),
            why_since=NO_EVENT_SUBPROCESS,
            topic="event subprocesses for an error and an escalation, which run at once",
            shows=_shows(
                tank="UserTask",
                tank_on_leak="NoneEventDefinition",
                tank_on_delay="NoneEventDefinition",
            ),
            answers={"leak_seal": {}, "delay_phone": {}, "tank_fill": {"filled": True}},
            runs=("tank_fill", "leak_seal", "delay_phone"),
            data={"filled": True},
        ),
        Model(
            name="event_subprocess_call",
            process_id="shop",
            since=(3, 2),
            why_since=NO_EVENT_SUBPROCESS,
            topic="a call activity inside an event subprocess with the typename EventSubprocess",
            shows=_shows(shop="EventSubprocess", shop_on_refund="CallActivity"),
            answers={"payback_approve": {}},
            script=(Message("refund", {"sum": 9}), Answer("shop_ship", {"shipped": True})),
            runs=("refund_start", "payback_approve", "shop_ship"),
            data={"shipped": True},
        ),
        Model(
            name="event_subprocess_in_called",
            process_id="tour",
            since=(3, 2),
            why_since=NO_EVENT_SUBPROCESS,
            topic="an event subprocess inside a called process, never started",
            shows=_shows(tour="CallActivity", leg="UserTask", leg_on_stop="MessageEventDefinition"),
            answers={"leg_ride": {"ridden": True}},
            data={"ridden": True},
        ),
        Model(
            name="ad_hoc",
            process_id="errands",
            since=(3, 2),
            why_since=NO_AD_HOC,
            topic="an ad-hoc subprocess that is complete while a call in it has not come back",
            shows=_shows(errands="AdHocSubprocess", errands_any="CallActivity"),
            answers={"any_post": {"posted": True}},
            runs=("any_post", "errands_rest"),
            data={"rested": True},
        ),
        Model(
            name="ad_hoc_data_object",
            process_id="cleaning",
            parser=AdHocParser,
            since=(3, 2),
            why_since=NO_AD_HOC,
            topic="an ad-hoc subprocess with a data object, a conditional path and a call",
            shows=_shows(cleaning="AdHocSubprocess", cleaning_jobs="ExclusiveGateway CallActivity"),
            answers={"jobs_windows": {"cleaned": "windows"}, "jobs_wipe": {"cleaned": "wiped"}},
            script=(Answer("floors_mop", {"cleaned": "floors"}),),
            runs=("jobs_windows", "jobs_wipe", "floors_mop", "cleaning_done"),
            data={"done": True},
        ),
        Model(
            name="data_objects",
            process_id="ledger",
            topic="data objects of a process and of an embedded subprocess",
            shows=_shows(ledger="DataObject SubWorkflowTask", ledger_post="DataObject"),
            answers={"post_amount": {"amount": 20}},
            data={"closing": 77},
        ),
        Model(
            name="io_specification",
            process_id="meal",
            topic="a called process with data inputs and outputs",
            shows=_shows(meal="CallActivity", cook="BpmnIoSpecification TaskDataReference"),
            answers={"cook_taste": {"salt": 2}},
            data={"plate": ["soup", 2], "secret": "spice"},
        ),
        Model(
            name="correlation",
            process_id="trader",
            topic="a called process that awaits the reply with its correlation key",
            shows=_shows(trader="CallActivity", inquiry="SendTask ReceiveTask"),
            answers={"inquiry_ask": {}},
            script=(Message("reply", {"number": 7}, {"order_key": {"order_number": 7}}),),
            data={"reply": {"number": 7}},
        ),
        Model(
            name="human_tasks",
            process_id="application",
            topic="user and manual tasks with forms, instructions and scripts",
            shows=_shows(application="UserTask ManualTask"),
            answers={"application_fill": {"age": 40}, "application_print": {}},
            data={"applicant": "you", "adult": True},
        ),
        Model(
            name="multi_instance_call_parallel",
            process_id="survey_round",
            topic="parallel multi-instance around a call activity",
            shows=_shows(survey_round="ParallelMultiInstanceTask CallActivity"),
            answers={"question_ask": {"mood": "!"}},
            data={"replies": ["Ada!", "Bo!", "Cy!"]},
        ),
        Model(
            name="multi_instance_call_sequential",
            process_id="inventory",
            topic="sequential multi-instance around a call activity",
            shows=_shows(inventory="SequentialMultiInstanceTask CallActivity"),
            answers={"count_look": {}},
            data={"counted": {"nail": 10, "bolt": 20}},
        ),
        Model(
            name="multi_instance_embedded",
            process_id="bakery",
            topic="multi-instance around embedded subprocesses, one with an early end",
            shows=_shows(
                bakery="ParallelMultiInstanceTask SequentialMultiInstanceTask SubWorkflowTask"
            ),
            answers={"bake_wait": {}},
            data={"sold": ["BREAD 0", "BREAD 1"]},
        ),
        Model(
            name="loop_call",
            process_id="practice",
            since=(3, 1),
            why_since="SpiffWorkflow 3.0 cannot serialize the loop tasks of its spiff parser",
            topic="standard loops around a call activity and an embedded subprocess",
            shows=_shows(practice="StandardLoopTask CallActivity SubWorkflowTask"),
            answers={"piece_play": {}},
            data={"rounds": 3},
        ),
        Model(
            name="boundary_timer",
            process_id="loan",
            topic="timer boundary events on a call activity, the last one interrupts two calls",
            shows=_shows(
                loan="BoundaryEvent DurationTimerEventDefinition TimeDateEventDefinition",
                check="CallActivity",
            ),
            script=(Timer("loan_reminder"), Timer("loan_expired")),
            runs=("loan_remind", "refusal_write"),
            data={"refused": True},
        ),
        Model(
            name="boundary_message",
            process_id="quest",
            topic="message boundary events on a call activity",
            shows=_shows(quest="BoundaryEvent MessageEventDefinition CallActivity"),
            script=(Message("hint", {"where": "cave"}), Message("withdraw")),
            runs=("quest_note_hint", "quest_give_up"),
            data={"found": False},
        ),
        Model(
            name="boundary_signal",
            process_id="picnic",
            topic="a signal boundary event on an embedded subprocess, thrown by a called process",
            shows=_shows(
                picnic="BoundaryEvent SignalEventDefinition SubWorkflowTask CallActivity",
                weather="SignalEventDefinition",
            ),
            answers={"weather_look": {}},
            runs=("weather_rain", "picnic_run"),
            data={"wet": True},
        ),
        Model(
            name="boundary_signal_from_outside",
            process_id="picnic",
            files=("boundary_signal.bpmn",),
            topic="the same signal from outside, while the called process still waits",
            shows=_shows(
                picnic="BoundaryEvent SignalEventDefinition SubWorkflowTask CallActivity",
                weather="SignalEventDefinition",
            ),
            script=(Signal("rain"), Answer("weather_look")),
            runs=("picnic_run", "weather_look"),
            data={"wet": True},
        ),
        Model(
            name="boundary_error",
            process_id="printing",
            topic="an error end event two calls down, caught at the outermost call activity",
            shows=_shows(
                printing="BoundaryEvent ErrorEventDefinition CallActivity",
                job="CallActivity",
                page="ErrorEventDefinition",
            ),
            answers={"page_feed": {}},
            runs=("page_jam", "repair_open"),
            data={"repaired": True},
        ),
        Model(
            name="boundary_escalation",
            process_id="project",
            topic="an escalation from an embedded subprocess to a boundary event beside it",
            shows=_shows(
                project="BoundaryEvent EscalationEventDefinition SubWorkflowTask CallActivity",
                project_build="EscalationEventDefinition",
            ),
            answers={"audit_books": {"audited": True}, "build_finish": {"built": True}},
            runs=("build_finish", "audit_books"),
            data={"audited": True, "built": True},
        ),
        Model(
            name="boundary_conditional",
            process_id="brewing",
            topic="a conditional boundary event on a call activity",
            shows=_shows(
                brewing="BoundaryEvent ConditionalEventDefinition DataObject CallActivity"
            ),
            answers={"brewing_heat": {"temperature": 95}},
            runs=("brewing_heat", "brewing_cool"),
            data={"cooled": True},
        ),
        Model(
            name="boundary_multi_instance",
            process_id="auction",
            since=(3, 1),
            why_since="SpiffWorkflow 3.0 loses the tasks of an interrupted multi-instance call",
            topic="a boundary event interrupts a multi-instance call, one instance being done",
            shows=_shows(auction="BoundaryEvent ParallelMultiInstanceTask CallActivity"),
            script=(Answer("bid_offer", {"offer": 5}), Signal("gong")),
            own_save_differs=DETACHED_LOST,
            engine_steps_error="TaskNotFoundException",  # it looks for one of the removed tasks
            runs=("bid_offer", "auction_close"),
            data={"closed": True},
        ),
        Model(
            name="business_rule",
            process_id="tickets",
            dmn_files=("fare.dmn",),
            topic="a called process that asks a decision table (DMN)",
            shows=_shows(tickets="CallActivity", fare="BusinessRuleTask"),
            answers={"tickets_ask": {"age": 9}},
            data={"price": 5},
        ),
        Model(
            name="lanes",
            process_id="leave",
            topic="lanes, one of which has an embedded subprocess",
            shows=_shows(leave="UserTask SubWorkflowTask", leave_review="UserTask"),
            answers={"leave_ask": {"days": 3}, "review_decide": {"granted": True}},
            data={"granted": True},
        ),
        Model(
            name="non_ascii",
            process_id="Prozess_Übergröße",
            topic="ids, names and data beyond ASCII",
            shows=_shows(
                **{
                    "Prozess_Übergröße": "CallActivity SubWorkflowTask",
                    "检查流程": "ManualTask",
                    "Verpackung_ß": "ScriptTask",
                }
            ),
            answers={"Größe_messen": {"größe": "XL 🐘"}, "检查": {}},
            data={"упаковка": "📦XL 🐘"},
        ),
        Model(
            name="gateways",
            process_id="routes",
            topic="inclusive, exclusive and parallel gateways around calls",
            shows=_shows(
                routes="InclusiveGateway ExclusiveGateway CallActivity", hotel="ParallelGateway"
            ),
            answers={
                "routes_plan": {"means": ["bus", "foot"], "tired": True},
                "bus_ride": {},
                "hotel_sleep": {},
                "hotel_snore": {},
            },
            runs=("routes_walk", "bus_ride", "hotel_snore"),
            data={"tired": True},
        ),
        Model(
            name="event_gateway",
            process_id="evening",
            topic="an event-based gateway inside a called process",
            shows=_shows(evening="CallActivity", wait="EventBasedGateway CallActivity"),
            answers={"door_open": {"opened": True}},
            script=(Message("bell"),),
            runs=("wait_bell", "door_open"),
            data={"opened": True},
        ),
        Model(
            name="timers",
            process_id="clockwork",
            topic="intermediate timers: a date, a duration in a called process, a cycle",
            shows=_shows(
                clockwork="TimeDateEventDefinition CycleTimerEventDefinition",
                pause="DurationTimerEventDefinition",
            ),
            answers={"clockwork_chime": {}},
            script=(Timer("pause_duration"), Timer("clockwork_cycle")),
            runs=("clockwork_past", "pause_duration", "clockwork_chime"),
        ),
        Model(
            name="terminate",
            process_id="party",
            topic="a terminate end event in a called process",
            shows=_shows(party="CallActivity", dance="TerminateEventDefinition"),
            answers={"dance_lights_off": {}},
            data={"slept": True},
        ),
        Model(
            name="uncaught_events",
            process_id="island",
            topic="a message and a signal that nothing catches",
            shows=_shows(
                island="CallActivity", help="MessageEventDefinition SignalEventDefinition"
            ),
            answers={"help_wave": {}},
        ),
        Model(
            name="script_error",
            process_id="division",
            topic="a script in a called process that fails",
            shows=_shows(division="CallActivity", divide="ScriptTask"),
            error="WorkflowTaskException",
            completes=False,
        ),
        Model(
            name="multiple_starts",
            process_id="visit",
            topic="a called process with two start events",
            shows=_shows(visit="CallActivity", welcome="StartEventSplit StartEventJoin"),
            answers={"welcome_greet": {"greeted": True}},
            data={"greeted": True},
        ),
        Model(
            name="message_starts_called",
            process_id="school",
            topic="a message that the start event of a process awaits, which nothing has called",
            shows=_shows(
                school="MessageEventDefinition CallActivity", drill="MessageEventDefinition"
            ),
            answers={"drill_leave": {}, "school_teach": {"taught": True}},
            runs=("school_bell", "school_teach"),
            data={"taught": True},
        ),
        Model(
            name="multi_instance_nested",
            process_id="tournament",
            topic="a multi-instance call of a process with multi-instance tasks of its own",
            shows=_shows(
                tournament="ParallelMultiInstanceTask CallActivity",
                group="SequentialMultiInstanceTask ParallelMultiInstanceTask CallActivity",
            ),
            answers={"match_play": {"points": " 3"}, "group_cheer [child]": {}},
            data={"results": [["Ada 3", "Bo 3"], ["Cy 3"]]},
        ),
        Model(
            name="reset_in_called",
            process_id="essay",
            files=("resets.bpmn",),
            topic="a reset to a task of a process that is still running, two calls down",
            shows=_shows(essay="CallActivity", draft="CallActivity", proof="UserTask"),
            script=(
                Answer("essay_title", {"title": "On tea"}),
                Answer("draft_write", {"text": "short"}),
                Reset("draft_write"),
                Answer("draft_write", {"text": "longer"}),
                Answer("proof_read"),
                Answer("essay_publish"),
            ),
            runs=("draft_write", "draft_write", "proof_read", "essay_publish"),
            data={"title": "On tea", "text": "longer"},
        ),
        Model(
            name="reset_into_completed",
            process_id="essay",
            files=("resets.bpmn",),
            topic="a reset to a task of a called process that has been completed",
            shows=_shows(essay="CallActivity", draft="CallActivity", proof="UserTask"),
            script=(
                Answer("essay_title", {"title": "On tea"}),
                Answer("draft_write", {"text": "short"}),
                Answer("proof_read", {"mistakes": 2}),
                Reset("proof_read"),
                Answer("proof_read", {"mistakes": 0}),
                Answer("essay_publish"),
            ),
            runs=("proof_read", "proof_read", "essay_publish"),
            data={"text": "short", "mistakes": 0},
        ),
        Model(
            name="reset_before_call",
            process_id="essay",
            files=("resets.bpmn",),
            topic="a reset to a task before a call that has come back",
            shows=_shows(essay="CallActivity", draft="CallActivity", proof="UserTask"),
            script=(
                Answer("essay_title", {"title": "On tea"}),
                Answer("draft_write", {"text": "short"}),
                Answer("proof_read"),
                Reset("essay_title"),
                Answer("essay_title", {"title": "On coffee"}),
                Answer("draft_write", {"text": "strong"}),
                Answer("proof_read"),
                Answer("essay_publish"),
            ),
            runs=("essay_title", "proof_read", "essay_title", "proof_read", "essay_publish"),
            data={"title": "On coffee", "text": "strong"},
        ),
        Model(
            name="cancelled",
            process_id="order",
            files=("nested_calls.bpmn",),
            topic="a workflow that is cancelled while a task waits three calls down",
            shows=_shows(order="CallActivity", handover="UserTask"),
            script=(Cancel(),),
        ),
    )
}

MODELS = {name: model for name, model in ALL_MODELS.items() if model.since <= SPIFF_VERSION}
