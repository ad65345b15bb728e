"""BPMN and DMN files -> spec JSON, with SpiffWorkflow's parsers.

SpiffWorkflow gets the trees of `_documents`. Whatever its parsers raise makes a file, or a process
in it, unusable, and nothing else. Nothing in a model is executed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Optional

from ._app import Failure
from ._documents import BPMN, Document
from ._failures import NOT_EXECUTABLE
from ._output import one_line
from ._tree import found

try:
    from SpiffWorkflow.bpmn.parser.BpmnParser import BpmnParser
    from SpiffWorkflow.bpmn.serializer import DEFAULT_CONFIG, BpmnWorkflowSerializer
    from SpiffWorkflow.bpmn.specs.mixins.subworkflow_task import SubWorkflowTask
    from SpiffWorkflow.exceptions import SpiffWorkflowException
except ImportError as error:
    raise Failure(
        f"BPMN files need SpiffWorkflow ({error}): pip install 'SpiffWorkflow>=3.0,<4'"
    ) from error


class Parsed(NamedTuple):
    """A workflow of a model: its root, its spec JSON, and the processes that are missing.

    `documents` are the BPMN files that its processes are in.
    """

    root: str
    text: str
    external: tuple[str, ...]
    documents: tuple[Document, ...]


class Broken(Failure):
    """A file, or a process in it, cannot be used. `reason` does not name the file."""

    def __init__(self, path: str, process_id: Optional[str], reason: str) -> None:
        self.path = path
        self.process_id = process_id
        self.reason = reason
        file = f"{path!r}: " if path else ""
        process = "" if process_id is None else f"process {process_id!r}: "
        super().__init__(f"{file}{process}{reason}")


class Model:
    """BPMN and DMN files that belong together."""

    def __init__(self, kind: str) -> None:
        parser, config = _parser_and_config(kind)
        self._parser = parser
        self._kind = kind
        self._serializer = BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure(config))
        self._specs: dict[str, Any] = {}
        self._bad: list[Document] = []
        self._files: dict[str, Document] = {}
        self._decisions: dict[str, set[str]] = {}  # that a file asks for
        self._broken: dict[str, Broken] = {}

    def add(self, document: Document) -> None:
        """Add a file; specs will contain its `name`. Raises Broken."""
        parser = self._parser
        before = {name: dict(getattr(parser, name, {})) for name in _REGISTRIES}
        asked: set[str] = getattr(parser, "dmn_dependencies", set())
        parser.dmn_dependencies = set()
        try:
            tree = document.xml()
            if document.is_dmn:
                self._add_decision(document, tree)
            else:
                for process_id in document.process_ids:
                    if process_id in self._files:
                        raise Failure(self._twice(process_id))
                parser.add_bpmn_xml(tree, document.name)
                if None in parser.process_parsers:
                    raise Failure("a process in it has no id")
        except Exception as error:  # the parser may raise anything
            for name, content in before.items():
                setattr(parser, name, content)
            document.reason = document.reason or _raised(error)
            self._bad.append(document)
            raise Broken(document.path, None, document.reason) from error
        finally:
            self._decisions[document.path] = {one for one in parser.dmn_dependencies if one}
            parser.dmn_dependencies |= asked
        for name in ("process_parsers", "collaborations"):
            for process_id in getattr(parser, name).keys() - before[name].keys():
                self._files[process_id] = document

    def _add_decision(self, document: Document, tree: Any) -> None:
        if not hasattr(self._parser, "add_dmn_xml"):
            raise Failure("--parser bpmn cannot read DMN; use --parser spiff or camunda")
        self._parser.add_dmn_xml(tree, document.name)
        for decision_id in document.decision_ids:
            reader = self._parser.dmn_parsers.get(decision_id)
            if reader is not None:
                reader.parse()
                if not reader.decision.decisionTables:
                    raise Failure(f"decision {decision_id!r} has no decision table")

    def _twice(self, process_id: str) -> str:
        other = self._files[process_id].path
        return f"process {process_id!r} is also in {other!r}; --each file caches both"

    def complete(self, others: Iterable[Document], *, processes: bool = False) -> None:
        """Add the decisions that the model asks for and lacks, if one of the others has them.

        With `processes`, add the called processes too. If several of the others have an id, those
        in a folder of the model count. If there are still several, none of them is added.
        """
        if not self._lacks(processes):
            return
        places: dict[str, list[Document]] = {}
        for document in others:
            if document.path not in self._decisions:
                for id in document.decision_ids if document.is_dmn else document.process_ids:
                    places.setdefault(id, []).append(document)
        tried: set[str] = set()
        while True:
            lacks = [one for one in self._lacks(processes) if one not in tried]
            if not lacks:
                return
            for one in lacks:
                tried.add(one)
                there = places.get(one, [])
                there = [other for other in there if self._is_near(other)] or there
                if len(there) == 1 and there[0].path not in self._decisions:
                    with contextlib.suppress(Broken):  # the process that needs it tells
                        self.add(there[0])

    def _is_near(self, document: Document) -> bool:
        folders = {os.path.dirname(path) for path in self._decisions}
        return os.path.dirname(document.path) in folders

    def _lacks(self, processes: bool) -> list[str]:
        there = getattr(self._parser, "dmn_parsers", {})
        asked = {one for some in self._decisions.values() for one in some}
        lacks = sorted(one for one in asked if one not in there)
        if processes:
            known = self._parser.process_parsers
            called = {to for one in known for to in self._called(one)}
            lacks += sorted(called - set(known))
        return lacks

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of the files that were added, bad ones included."""
        return tuple(self._decisions)

    @property
    def bad(self) -> tuple[str, ...]:
        """The paths of the files that cannot be used."""
        return tuple(document.path for document in self._bad)

    @property
    def executable(self) -> tuple[str, ...]:
        """The processes that are executable."""
        return tuple(self._parser.get_process_ids())

    @property
    def processes(self) -> tuple[str, ...]:
        """All processes and collaborations of the model."""
        return tuple(dict.fromkeys([*self._parser.process_parsers, *self._parser.collaborations]))

    def path_of(self, process_id: str) -> Optional[str]:
        """The path of the file that a process is in, or an embedded subprocess."""
        document = self._files.get(process_id)
        parser = self._parser.process_parsers.get(process_id)
        if document is None and parser is not None:
            tree = parser.node.getroottree().getroot()
            document = next((one for one in self._files.values() if one.xml() is tree), None)
        return None if document is None else document.path

    def texts(self) -> list[str]:
        """The texts of its BPMN files."""
        documents = dict.fromkeys(self._files.values())
        return [one.text() for one in documents]

    def roots(self) -> tuple[str, ...]:
        """The roots: executable processes that no other process calls.

        If processes call each other in a circle, the first one is a root.
        """
        ids = self.executable
        called = {one: self._called(one) for one in ids}
        by_others = {to for one in ids for to in called[one] if to != one}
        roots: list[str] = []
        covered: set[str] = set()
        for one in [*(one for one in ids if one not in by_others), *ids]:
            if one not in covered:
                roots.append(one)
                covered |= self._leads_to(one, called)
        return tuple(one for one in ids if one in roots)

    def _leads_to(self, process_id: str, called: dict[str, set[str]]) -> set[str]:
        found: set[str] = set()
        waiting = [process_id]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting.extend(called.get(one, ()))
        return found

    def require_root(self, root: str) -> str:
        """The given root. Raises Failure if the model does not have it."""
        if root not in self.processes:
            there = ", ".join(map(repr, self.processes)) or "none"
            raise Failure(f"no process {root!r} in the model; it has: {there}")
        return root

    def spec_json(self, root: str, check: bool = False) -> Parsed:
        """The workflow of a process and all processes that it leads to.

        With `check`, each spec must survive the serializer. Raises Failure, RoundTripError.
        """
        specs: dict[str, Any] = {}
        waiting = [root]
        for process_id in waiting:  # grows
            if self._spec(process_id) is not None:
                for name in self._refers_to(process_id):
                    if name not in specs:
                        specs[name] = self._spec(name)
                        waiting.append(name)
        external = tuple(name for name, spec in specs.items() if spec is None)
        for name in external:
            for document in self._bad:
                if document.mentions(name):
                    raise Broken(document.path, None, document.reason)
        if check:
            from ..spiff.round_trip import check_round_trip

            whole = [self._spec(root), *specs.values()]
            check_round_trip([one for one in whole if one is not None], self._serializer)
        workflow = {
            "spec": self._converted(root),
            "subprocess_specs": {
                name: None if spec is None else self._converted(name)
                for name, spec in specs.items()
            },
            self._serializer.VERSION_KEY: self._serializer.VERSION,
        }
        try:
            text = json.dumps(workflow)
        except (TypeError, ValueError) as error:
            raise self._not_serialized(root, error) from error
        held = [self._files[one] for one in (root, *specs) if one in self._files]
        return Parsed(root, text, external, tuple(dict.fromkeys(held)))

    def _spec(self, process_id: str) -> Any:
        """The parsed spec of a process; None if no file contains it. Raises Broken."""
        if process_id in self._broken:
            raise self._broken[process_id]
        if process_id not in self._specs:
            try:
                self._specs[process_id] = self._parsed(process_id)
            except Exception as error:  # the parser may raise anything
                broken = self._broken[process_id] = self._blamed(process_id, error)
                raise broken from error
        return self._specs[process_id]

    def _blamed(self, process_id: str, error: Exception) -> Broken:
        """The file to blame for a process that cannot be parsed: its own, or a bad DMN file."""
        path = self.path_of(process_id) or ""
        for document in self._bad:
            asked = self._decisions.get(path, set()).intersection(document.decision_ids)
            if any(one in str(error) for one in asked):
                return Broken(document.path, None, document.reason)
        return Broken(path, process_id, _raised(error))

    def _parsed(self, process_id: str) -> Any:
        known = self._parser.process_parsers
        if process_id in self._parser.collaborations and process_id not in known:
            return self._parser.get_collaboration(process_id)[0]
        return self._parser.get_spec(process_id, required=False)

    def _refers_to(self, process_id: str) -> list[str]:
        spec = self._spec(process_id)
        named = (one.spec for one in spec.task_specs.values() if isinstance(one, SubWorkflowTask))
        return [*named, *(getattr(spec.start, "trigger_specs", None) or ())]

    def _called(self, process_id: str) -> set[str]:
        """The processes that a process calls, from its XML: SpiffWorkflow may fail to parse it."""
        parser = self._parser.process_parsers[process_id]
        calls = parser.node.xpath(".//bpmn:callActivity/@calledElement", namespaces=BPMN)
        return {str(one) for one in calls}

    def _converted(self, process_id: str) -> Any:
        try:
            return self._serializer.registry.convert(self._spec(process_id))
        except Failure:
            raise
        except Exception as error:  # a converter may raise anything
            raise self._not_serialized(process_id, error) from error

    def _not_serialized(self, process_id: str, error: Exception) -> Broken:
        reason = f"it cannot be serialized with --parser {self._kind}: {_typed(error)}"
        return Broken(self.path_of(process_id) or "", process_id, reason)


# What a parser has read. A file that it cannot read leaves nothing in them.
_REGISTRIES = ("process_parsers", "collaborations", "dmn_parsers", "dmn_parsers_by_name")


def parsed_file(path: str, kind: str, root: Optional[str], choose: str) -> Parsed:
    """The workflow of a BPMN file, with what it needs of the other files of its folder.

    Without a root, the file must have only one. `choose` says how to choose one. Raises Failure.
    """
    model = Model(kind)
    model.add(Document(path, os.path.basename(path)))
    roots = model.roots()
    model.complete(beside(path), processes=True)
    if len(roots) == 1 and root not in model.processes:
        root = roots[0]  # what was asked for may be an embedded subprocess
    return model.spec_json(chosen_root(model, root, roots, choose))


def diagrams(path: str, kind: str) -> list[str]:
    """The texts of the BPMN files that `parsed_file` makes a workflow of, or those of a folder."""
    model = Model(kind)
    if os.path.isdir(path):
        for file in found((path,)):
            if file.suffix == ".bpmn":
                model.add(Document(file.path, file.within))
        return model.texts()
    model.add(Document(path, os.path.basename(path)))
    model.complete(beside(path), processes=True)
    return model.texts()


def chosen_root(model: Model, root: Optional[str], roots: tuple[str, ...], choose: str) -> str:
    """The given root, or the only one of `roots`. Raises Failure."""
    if root is None and len(roots) == 1:
        return roots[0]
    if root is None and not roots:
        raise Failure(NOT_EXECUTABLE)
    if root is None:
        which = ", ".join(map(repr, roots))
        raise Failure(f"{choose} the root process; the model has: {which}")
    return model.require_root(root)


def beside(path: str) -> Iterator[Document]:
    """The BPMN and DMN files in the folder of a file."""
    folder = os.path.dirname(path)
    for name in sorted(os.listdir(folder or ".")):
        other = os.path.join(folder, name)
        if name.lower().endswith((".bpmn", ".dmn")) and other != path and os.path.isfile(other):
            yield Document(other, name)


def told(error: Exception) -> str:
    """The message of an error, with the element and line if SpiffWorkflow knows them."""
    text = str(error) or type(error).__name__
    where = [getattr(error, "id", ""), getattr(error, "line_number", "")]
    if where[0]:
        text += f" (element {where[0]!r}" + (f", line {where[1]}" if where[1] else "") + ")"
    return re.sub(r"\.(\s*\.)+", ".", one_line(text))  # SpiffWorkflow ends messages with ". "


def _raised(error: Exception) -> str:
    """What a parser raised, in words. The type of an error of Python says more than its message."""
    if isinstance(error, Broken):
        return error.reason
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, (SpiffWorkflowException, Failure)):
        return told(error)
    return f"SpiffWorkflow cannot read it ({_typed(error)})"


def _typed(error: Exception) -> str:
    return f"{type(error).__name__}: {told(error)}"


def serializer(kind: str) -> Any:
    """A serializer for the specs of `--parser kind`."""
    return BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure(_parser_and_config(kind)[1]))


def _parser_and_config(kind: str) -> tuple[Any, Any]:
    if kind == "bpmn":
        return BpmnParser(), DEFAULT_CONFIG
    if kind == "camunda":
        from SpiffWorkflow.camunda.parser.CamundaParser import CamundaParser
        from SpiffWorkflow.camunda.serializer.config import CAMUNDA_CONFIG

        return CamundaParser(), CAMUNDA_CONFIG
    from SpiffWorkflow.spiff.parser.process import SpiffBpmnParser
    from SpiffWorkflow.spiff.serializer.config import SPIFF_CONFIG

    return SpiffBpmnParser(), SPIFF_CONFIG
