"""The files that a model is made of, and what a parse of the model has asked about them.

A parse may see files only through `ModelFiles`, which writes down every question and its answer. If
all questions have the same answers later, the parse would give the same model.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Optional

from lxml import etree

from ..asking import near
from ..cache.sources import FileMark, Sources
from ..errors import UnitNotFound

Question = tuple[str, str]  # a kind, and what it is about

_NAMES: Question = ("names", "")


class FileFacts(NamedTuple):
    """What is known of a file without reading it again.

    `defines` has the processes, collaborations and decisions of the file, and what each refers to.
    """

    mark: FileMark
    settled: bool
    digest: str
    defines: dict[str, list[str]]


class Contents:
    """The contents of all model files at one time. It never changes."""

    def __init__(self, files: dict[str, FileFacts]) -> None:
        self._files = files
        self._found_in: dict[str, list[str]] = {}
        for name, facts in files.items():
            for one in facts.defines:
                self._found_in.setdefault(one, []).append(name)

    @property
    def names(self) -> list[str]:
        """The names of all files."""
        return list(self._files)

    @property
    def processes(self) -> list[str]:
        """The ids of all processes."""
        return [one[2:] for one in self._found_in if one.startswith("p ")]

    def digest(self, name: str) -> Optional[str]:
        """SHA-256 of a file; None if there is no such file."""
        facts = self._files.get(name)
        return None if facts is None else facts.digest

    def needed_for(self, process_id: str) -> list[str]:
        """The names of the files that a process is made of, that of the process first."""
        names: dict[str, None] = {}
        waiting = [f"p {process_id}"]
        seen = set(waiting)
        for one in waiting:  # grows
            for name in self._found_in.get(one, ()):
                names[name] = None
                more = [to for to in self._files[name].defines[one] if to not in seen]
                seen.update(more)
                waiting += more
        return list(names)

    def answer(self, question: Question) -> Any:
        """The answer to a question, as it goes into a cache key."""
        kind, about = question
        if kind == "read":
            return self.digest(about)
        return self.needed_for(about) if kind == "needed_for" else self.names


class Look(NamedTuple):
    """What somebody saw who looked at all model files."""

    files: dict[str, FileFacts]
    contents: Contents
    marks: dict[str, FileMark]
    settled: bool


NOTHING = Look({}, Contents({}), {}, False)


def look(sources: Sources, before: Look, trust_stat: bool) -> Look:
    """Look at all model files. It reads those that may have changed since `before`.

    If no content has changed, `contents` is the same object. Raises CacheError.
    """
    marks = sources.marks()
    if trust_stat and before.settled and marks == before.marks:
        return before
    files: dict[str, FileFacts] = {}
    for name in sorted(marks):
        known = before.files.get(name)
        if trust_stat and known is not None and known.settled and known.mark == marks[name]:
            files[name] = known
            continue
        read = sources.read(name)
        if read is None:  # it was removed just now
            continue
        digest = hashlib.sha256(read.content).hexdigest()
        same = known is not None and known.digest == digest
        defines = known.defines if same and known is not None else defined_in(read.content)
        files[name] = FileFacts(read.mark, read.settled, digest, defines)
    unchanged = len(files) == len(before.files) and all(
        name in before.files and before.files[name].digest == facts.digest
        for name, facts in files.items()
    )
    contents = before.contents if unchanged else Contents(files)
    settled = len(files) == len(marks) and all(facts.settled for facts in files.values())
    return Look(files, contents, {name: facts.mark for name, facts in files.items()}, settled)


class ModelFiles:
    """The model files, as your `parse` function sees them. See Deployments.

    Iterating over it gives the names of all files. Only the thread that parses may use it.
    """

    def __init__(self, sources: Sources, contents: Contents) -> None:
        self._sources = sources
        self._contents = contents
        self.asked: dict[Question, Any] = {}

    def __iter__(self) -> Iterator[str]:
        self.asked[_NAMES] = names = self._contents.names
        return iter(names)

    def needed_for(self, process_id: str) -> tuple[str, ...]:
        """The names of the files that a process is made of.

        They are the file that contains the process, the files of the processes that it calls, and
        so on, and the DMN files of its decisions. A called process that no file contains is left
        out. `process_id` may also be the id of a collaboration.

        Raises UnitNotFound if no file contains the process.
        """
        names = self._contents.needed_for(process_id)
        self.asked["needed_for", process_id] = names
        if not names:
            raise UnitNotFound(
                f"no process {process_id!r} in the model files {self._sources!r}"
                f"{near(process_id, self._contents.processes)}"
            )
        return tuple(names)

    def read(self, name: str) -> bytes:
        """The content of a file. Raises UnitNotFound if there is no such file."""
        read = None if self._contents.digest(name) is None else self._sources.read(name)
        if read is None:
            self.asked["read", name] = None
            raise UnitNotFound(
                f"no file {name!r} in the model files {self._sources!r}"
                f"{near(name, self._contents.names)}"
            )
        self.asked["read", name] = hashlib.sha256(read.content).hexdigest()
        return read.content

    def open(self, name: str) -> io.BytesIO:
        """The content of a file as an open binary file. Raises UnitNotFound."""
        return io.BytesIO(self.read(name))


def key_of(process_id: str, versions: list[Any], answers: Iterable[tuple[Question, Any]]) -> str:
    """The cache key of a model: its process id and a hash of all that it depends on."""
    told = json.dumps([versions, sorted([*question, answer] for question, answer in answers)])
    return f"{process_id} {hashlib.sha256(told.encode('utf-8', 'surrogatepass')).hexdigest()}"


def defined_in(content: bytes) -> dict[str, list[str]]:
    """The processes, collaborations and decisions in a file, and what each refers to.

    A process or collaboration is written `p id`, and a decision `d id`. A file that is not XML has
    none; SpiffWorkflow's parser says what is wrong with it.
    """
    reader = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True
    )
    try:
        root = etree.fromstring(content, reader)
    except (etree.XMLSyntaxError, ValueError):
        return {}
    found: dict[str, list[str]] = {}
    for process in root.iter("{*}process"):
        calls = [one.get("calledElement") for one in process.iter("{*}callActivity")]
        decisions = [
            one for rule in process.iter("{*}businessRuleTask") for one in _decisions(rule)
        ]
        found[f"p {process.get('id')}"] = [
            *(f"p {one}" for one in calls if one),
            *(f"d {one}" for one in decisions),
        ]
    for collaboration in root.iter("{*}collaboration"):
        refers = [one.get("processRef") for one in collaboration.iter("{*}participant")]
        found.setdefault(f"p {collaboration.get('id')}", [f"p {one}" for one in refers if one])
    for decision in root.iter("{*}decision"):
        found[f"d {decision.get('id')}"] = []
    return found


def _decisions(rule: Any) -> Iterator[str]:
    """The decisions of a business rule task, as Camunda and Spiff write them."""
    for attribute, value in rule.attrib.items():
        if etree.QName(attribute).localname == "decisionRef":
            yield value
    for called in rule.iter("{*}calledDecisionId"):
        if called.text:
            yield called.text.strip()
