"""The workflows that `cache` finds in files, and their keys."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

import click

from ._app import Failure
from ._failures import Failures
from ._tree import File, Group, Primary, chosen, groups, primary

if TYPE_CHECKING:
    from ._documents import Document
    from ._models import Model

_FIELDS = ("name", "path", "folder", "process", "hash")
_ARE_MODELS = {
    "tree": "all BPMN and DMN files are one model",
    "folder": "each folder is a model",
    "file": "each BPMN file is a model",
    "process-model": "each folder with a process_model.json is a model",
}


class Source(NamedTuple):
    """A workflow to cache, and a function that returns its text.

    `process_id` is the root of a BPMN model. `default` is its key if no template is given.
    """

    file: File
    read: Callable[[], Any]
    process_id: Optional[str] = None
    default: str = ""


class NoWorkflow(Exception):
    """A JSON file in a folder that is not a workflow."""


class Sources:
    """The workflows in BPMN and DMN files.

    `each` is how they were grouped, `why` says so in a sentence, and `not_executable` contains the
    BPMN files that give no workflow because no process in them is executable. With `check`, a
    workflow is read only if each spec of it survives the serializer.
    """

    def __init__(self, failures: Failures, check: bool = False) -> None:
        self.each: Optional[str] = None
        self.why = ""
        self.not_executable: list[str] = []
        self._failures = failures
        self._check = check

    def read(self, files: list[File], advance: Callable[[], None]) -> dict[str, Document]:
        """The BPMN and DMN files by path."""
        from ._documents import Document  # needs lxml

        documents = {}
        for file in files:
            if file.of_model:
                documents[file.path] = Document(file.path, file.within)
                advance()
        return documents

    def of_models(
        self,
        files: list[File],
        documents: dict[str, Document],
        parser: str,
        process_id: Optional[str],
        each: Optional[str],
    ) -> list[Source]:
        """The workflows of all models. Raises Failure if no model has the process."""
        ids = {one.path: (*one.process_ids, *one.decision_ids) for one in documents.values()}
        self.each, reason = chosen(files, ids)
        if each is not None:
            self.each, reason = each, "--each says so"
        if sum(file.suffix == ".bpmn" for file in files) > 1:
            self.why = f"{_ARE_MODELS[self.each]}: {reason}"
        sources: list[Source] = []
        by_path = {file.path: file for file in files}
        known: dict[str, None] = {}
        used: set[str] = set()
        for group in groups(files, self.each):
            model = self._model(parser, group, documents)
            used.update(model.paths)
            known.update(dict.fromkeys(model.processes))
            for root, is_primary in self._roots(group, model, process_id):
                file = by_path[model.path_of(root) or group.files[0].path]
                default = _default(self.each, file, group, root, is_primary)
                read = partial(model.spec_json, root, self._check)
                sources.append(Source(file, read, root, default))
        self._try_rest(parser, [one for one in documents.values() if one.path not in used])
        if process_id is not None and process_id not in known:
            there = ", ".join(map(repr, known)) or "none"
            raise Failure(f"no process {process_id!r} in the model; it has: {there}")
        return sources

    def _model(self, parser: str, group: Group, documents: dict[str, Document]) -> Model:
        """The model of a group. Its bad files are remembered."""
        from ._models import Broken, Model  # needs SpiffWorkflow

        model = Model(parser)
        for file in sorted(group.files, key=lambda file: file.suffix != ".dmn"):
            try:
                model.add(documents[file.path])
            except Broken as error:
                self._failures.add(file.path, error)
        model.complete(one for one in documents.values() if one.is_dmn)
        return model

    def _roots(
        self, group: Group, model: Model, process_id: Optional[str]
    ) -> Iterable[tuple[str, bool]]:
        """The roots of a model, each with whether it is what `process_model.json` names."""
        if process_id is not None:
            return [(process_id, False)] if process_id in model.processes else []
        roots = dict.fromkeys(model.roots(), False)
        if group.described is not None:
            try:
                said = primary(group.described)
                main = self._primary(said, group, model, tuple(roots))
            except (Failure, OSError, ValueError) as error:
                self._failures.add(group.described.path, error)
            else:
                if main is not None:
                    roots = {main: True, **{one: False for one in roots if one != main}}
        filed = {model.path_of(one) for one in model.executable}
        without = filed.union(model.bad)
        self.not_executable += [
            path for path in model.paths if path.lower().endswith(".bpmn") and path not in without
        ]
        return roots.items()

    def _primary(
        self, said: Primary, group: Group, model: Model, roots: tuple[str, ...]
    ) -> Optional[str]:
        """The root that a `process_model.json` names; None if it names none. Raises Failure."""
        if said.process_id is not None and said.process_id in model.processes:
            return said.process_id
        if said.file_name is not None:
            for candidates in (roots, model.executable):
                inside = [one for one in candidates if _is_file(model.path_of(one), said.file_name)]
                if len(inside) == 1:
                    return inside[0]
        if said.process_id is not None and not model.bad:
            there = ", ".join(map(repr, model.processes)) or "none"
            raise Failure(
                f"primary_process_id is {said.process_id!r}, and the BPMN files of the folder have "
                f"no such process; they have: {there}"
            )
        return None

    def _try_rest(self, parser: str, rest: list[Document]) -> None:
        """Read the files that no model has used, to find those that are bad."""
        from ._models import Broken, Model

        for document in rest:
            try:
                Model(parser).add(document)
            except Broken as error:
                self._failures.add(document.path, error)


def _is_file(path: Optional[str], name: str) -> bool:
    return path is not None and os.path.basename(path) == name


def _default(each: str, file: File, group: Group, root: str, is_primary: bool) -> str:
    """The default key of a workflow. If there are several models, it names the model."""
    if each == "tree":
        return root
    path = os.path.splitext(file.within)[0]
    if is_primary and group.folder:
        return group.folder
    return f"{path}/{root}" if each == "file" else f"{group.folder}/{root}".lstrip("/")


def require_template(template: Optional[str]) -> None:
    """Raises UsageError if a template has another field than those that there are."""
    if template is None:
        return
    try:
        template.format(**dict.fromkeys(_FIELDS, ""))
    except (LookupError, ValueError, AttributeError, TypeError, MemoryError) as error:
        raise click.UsageError(
            f"--key-template {template!r} is wrong ({error}); it may contain {{name}}, {{path}}, "
            "{folder}, {process} and {hash}",
            click.get_current_context(),
        ) from error


def key_of(source: Source, template: Optional[str], digest: str) -> str:
    """The key of a workflow, made with the template."""
    if template is None:
        if source.file.path == "-":
            raise Failure("standard input has no name; give --key or --key-template '{hash}'")
        if source.process_id is not None:
            return source.default
        template = "{name}"
    path = os.path.splitext(source.file.within)[0]
    fields = {
        "name": os.path.basename(path),
        "path": path,
        "folder": os.path.dirname(path),
        "process": source.process_id or "",
        "hash": digest,
    }
    return template.format_map(fields)
