"""The files that a call names, and which of them belong together.

A folder is searched for spec JSON, BPMN and DMN files. BPMN and DMN files become models: all files
are one model, or each folder or file is one, or each folder with a `process_model.json` is one,
which is the form of Spiff Arena. Nothing here reads BPMN.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Optional

import click

from ._output import count

EACH = ("tree", "folder", "file", "process-model")
MODEL_FILE = "process_model.json"
_SUFFIXES = (".json", ".bpmn", ".dmn")


class File(NamedTuple):
    """A file: its path, its path in the folder that was searched, and if it was in one.

    Files that are named themselves count as in the folder that all of them are below.
    """

    path: str
    within: str
    walked: bool

    @property
    def suffix(self) -> str:
        return os.path.splitext(self.path)[1].lower()

    @property
    def of_model(self) -> bool:
        return self.suffix in (".bpmn", ".dmn")

    @property
    def folder(self) -> str:
        return os.path.dirname(self.path)


class Group(NamedTuple):
    """The files of one model.

    `folder` is its folder in the folder that was searched. `described` is the file that describes
    it, if there is one.
    """

    files: tuple[File, ...]
    folder: str
    described: Optional[File] = None


class Primary(NamedTuple):
    """What a `process_model.json` says about the root: a process, or the file that contains it."""

    process_id: Optional[str]
    file_name: Optional[str]


def found(paths: Iterable[str]) -> list[File]:
    """The files, and the files in the folders, each once; `-` or nothing means standard input."""
    paths = tuple(paths)
    if not paths:
        if sys.stdin.isatty():
            raise click.UsageError(
                "name the files or folders to cache", click.get_current_context()
            )
        paths = ("-",)
    named = [path for path in paths if path == "-" or not os.path.isdir(path)]
    top = _common(named)
    files: dict[str, File] = {}
    for path in paths:
        some = [File(path, _within(path, top), False)] if path in named else _walked(path)
        for file in some:
            files.setdefault(os.path.realpath(file.path), file)
    return list(files.values())


def _common(paths: list[str]) -> str:
    """The folder that all files are below."""
    folders = [os.path.dirname(os.path.abspath(path)) for path in paths if path != "-"]
    try:
        return os.path.commonpath(folders) if folders else ""
    except ValueError:  # on several drives of Windows
        return ""


def _within(path: str, top: str) -> str:
    if path == "-" or not top:
        return os.path.basename(path)
    return os.path.relpath(os.path.abspath(path), top).replace(os.sep, "/")


def _walked(top: str) -> Iterator[File]:
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for name in sorted(names):
            path = os.path.join(folder, name)
            if is_wanted(name) and not is_endless(path):
                yield File(path, os.path.relpath(path, top).replace(os.sep, "/"), True)


def is_endless(path: str) -> bool:
    """Whether something in a folder is a pipe or a device, which may never end."""
    return os.path.exists(path) and not os.path.isfile(path)


def is_wanted(name: str) -> bool:
    """Whether a file of a folder is read."""
    return name.lower().endswith(_SUFFIXES) and not name.startswith(".")


def chosen(files: list[File], ids: Mapping[str, Iterable[str]]) -> tuple[str, str]:
    """One of EACH for the files, and why.

    `ids` has the ids of the processes and decisions of each path.
    """
    described = sum(os.path.basename(file.path) == MODEL_FILE for file in files)
    if described:
        return "process-model", f"the call finds {count(described, MODEL_FILE + ' file')}"
    places: dict[str, list[str]] = {}
    for path, named in ids.items():
        for one in named:
            places.setdefault(one, []).append(path)
    twice = {one: where for one, where in places.items() if len(where) > 1}
    for one, where in twice.items():
        if len({os.path.dirname(path) for path in where}) < len(where):
            return "file", f"{one!r} is in {where[0]!r} and {where[1]!r}"
    for one, where in twice.items():
        return "folder", f"{one!r} is in {where[0]!r} and {where[1]!r}"
    return "tree", "no two files have a process or decision of the same id"


def groups(files: list[File], each: str) -> list[Group]:
    """The models of the BPMN and DMN files, and no model without a BPMN file."""
    described = {
        file.folder: file
        for file in files
        if each == "process-model" and os.path.basename(file.path) == MODEL_FILE
    }
    members: dict[str, list[File]] = {}
    for file in files:
        if file.of_model:
            members.setdefault(_place(file, each, described), []).append(file)
    made = []
    for place, some in members.items():
        about = described.get(place)
        folder = os.path.dirname((about or some[0]).within)
        made.append(Group(tuple(some), folder, about))
    return [group for group in made if any(file.suffix == ".bpmn" for file in group.files)]


def _place(file: File, each: str, described: Mapping[str, File]) -> str:
    """What the files of one model have in common."""
    if each == "tree":
        return ""
    if each == "file":
        return file.path
    folder = file.folder
    while each == "process-model" and folder not in described:
        above = os.path.dirname(folder)
        if above == folder:
            return file.folder
        folder = above
    return folder


def primary(file: File) -> Primary:
    """What a `process_model.json` says. Raises OSError, and ValueError if it is not such a file."""
    with open(file.path, "rb") as stream:
        said: Any = json.loads(stream.read())
    if not isinstance(said, dict):
        raise ValueError("it must be a JSON object")

    def text(name: str) -> Optional[str]:
        value = said.get(name)
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{name!r} must be a string")
        return value or None

    return Primary(text("primary_process_id"), text("primary_file_name"))
