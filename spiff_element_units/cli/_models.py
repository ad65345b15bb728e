"""BPMN and DMN files -> spec JSON, with SpiffWorkflow's parsers.

A file is untrusted XML. It is parsed here without entities, external files or network access. A
file with a document type is refused, because entities are declared there and BPMN does not need
one. SpiffWorkflow gets the parsed tree. Nothing in a model is executed.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple, Optional

from ._app import Failure
from ._output import one_line

try:
    from lxml import etree
    from SpiffWorkflow.bpmn.parser.BpmnParser import BpmnParser
    from SpiffWorkflow.bpmn.serializer import DEFAULT_CONFIG, BpmnWorkflowSerializer
    from SpiffWorkflow.bpmn.specs.mixins.subworkflow_task import SubWorkflowTask
    from SpiffWorkflow.exceptions import SpiffWorkflowException
except ImportError as error:
    raise Failure(
        f"BPMN files need SpiffWorkflow ({error}): pip install 'SpiffWorkflow>=3.0,<4'"
    ) from error


class Parsed(NamedTuple):
    """A workflow of a model: its root, its spec JSON, and the processes that are missing."""

    root: str
    text: str
    external: tuple[str, ...]


class Model:
    """BPMN and DMN files that belong together."""

    def __init__(self, kind: str) -> None:
        parser, config = _parser_and_config(kind)
        self._parser = parser
        self._kind = kind
        self._serializer = BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure(config))
        self._specs: dict[str, Any] = {}
        self.failed: dict[str, str] = {}
        self._files: dict[str, str] = {}

    def add(self, path: str, name: str) -> None:
        """Add a file; specs will contain its `name`. Raises Failure, OSError."""
        before = dict(self._parser.process_parsers)
        try:
            tree = _xml(path)
            if path.lower().endswith(".dmn"):
                self._require_dmn()
                self._parser.add_dmn_xml(tree, name)
            else:
                self._parser.add_bpmn_xml(tree, name)
        except (SpiffWorkflowException, Failure) as error:
            self._parser.process_parsers = before
            self.failed[path] = told(error)
            raise Failure(f"{path!r}: {told(error)}") from error
        except OSError as error:
            self.failed[path] = error.strerror or str(error)
            raise
        for process_id in self._parser.process_parsers.keys() - before.keys():
            self._files[process_id] = path

    def path_of(self, process_id: str) -> Optional[str]:
        """The path of the file that a process is in."""
        return self._files.get(process_id)

    def roots(self) -> tuple[str, ...]:
        """The roots: executable processes that no other process calls.

        If processes call each other in a circle, the first one is a root.
        """
        ids = self._parser.get_process_ids()
        called = {one: self._called(one) for one in ids}
        by_others = {to for one in ids for to in called[one] if to != one}
        roots: list[str] = []
        covered: set[str] = set()
        for one in [*(one for one in ids if one not in by_others), *ids]:
            if one not in covered:
                roots.append(one)
                waiting = [one]
                while waiting:
                    process_id = waiting.pop()
                    if process_id not in covered:
                        covered.add(process_id)
                        waiting.extend(called.get(process_id, ()))
        return tuple(one for one in ids if one in roots)

    def require_root(self, root: Optional[str]) -> str:
        """The given root, or the only root of the model. Raises Failure."""
        roots = self.roots()
        if root is None:
            if len(roots) == 1:
                return roots[0]
            which = ", ".join(map(repr, roots)) or "none"
            raise Failure(f"use --process to choose the root process; the model has: {which}")
        known = [*self._parser.process_parsers, *self._parser.collaborations]
        if root not in known:
            there = ", ".join(map(repr, known)) or "none"
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
        if external and self.failed:
            lost = ", ".join(map(repr, self.failed))
            raise Failure(f"process {external[0]!r} is missing, and {lost} could not be read")
        if check:
            from ..spiff.round_trip import check_round_trip

            check_round_trip([self._spec(root), *specs.values()], self._serializer)
        workflow = {
            "spec": self._converted(root),
            "subprocess_specs": {
                name: None if spec is None else self._converted(name)
                for name, spec in specs.items()
            },
            self._serializer.VERSION_KEY: self._serializer.VERSION,
        }
        try:
            return Parsed(root, json.dumps(workflow), external)
        except (TypeError, ValueError) as error:
            raise self._not_serialized(root, error) from error

    def _spec(self, process_id: str) -> Any:
        """The parsed spec of a process; None if no file contains it."""
        if process_id not in self._specs:
            try:
                self._specs[process_id] = self._parsed(process_id)
            except Exception as error:  # the parser may raise anything
                where = self._files.get(process_id)
                file = f"{where!r}: " if where else ""
                raise Failure(f"{file}process {process_id!r}: {told(error)}") from error
        return self._specs[process_id]

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
        calls = parser.node.xpath(".//bpmn:callActivity/@calledElement", namespaces=_BPMN)
        return {str(one) for one in calls}

    def _converted(self, process_id: str) -> Any:
        try:
            return self._serializer.registry.convert(self._spec(process_id))
        except Failure:
            raise
        except Exception as error:  # a converter may raise anything
            raise self._not_serialized(process_id, error) from error

    def _not_serialized(self, process_id: str, error: Exception) -> Failure:
        return Failure(
            f"process {process_id!r} cannot be serialized with --parser {self._kind}: {told(error)}"
        )

    def _require_dmn(self) -> None:
        if not hasattr(self._parser, "add_dmn_xml"):
            raise Failure("--parser bpmn cannot read DMN; use --parser spiff or camunda")


_BPMN = {"bpmn": "http://www.omg.org/spec/BPMN/20100524/MODEL"}


def told(error: Exception) -> str:
    """The message of an error, with the element and line if SpiffWorkflow knows them."""
    text = str(error) or type(error).__name__
    where = [getattr(error, "id", ""), getattr(error, "line_number", "")]
    if where[0]:
        text += f" (element {where[0]!r}" + (f", line {where[1]}" if where[1] else "") + ")"
    return one_line(text)


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


def _xml(path: str) -> Any:
    """The root element of a file. Raises Failure, OSError."""
    with open(path, "rb") as stream:
        text = stream.read()
    reader = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=False,
    )
    try:
        root = etree.fromstring(text, reader)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Failure(f"it is not XML: {one_line(str(error))}") from error
    about = root.getroottree().docinfo
    if about.internalDTD is not None or about.externalDTD is not None:
        raise Failure(
            "it has a document type (<!DOCTYPE>), which can declare entities and is therefore "
            "refused; BPMN and DMN do not need one, so remove it"
        )
    return root
