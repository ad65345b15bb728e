"""The files that an application's models are made of: their names, marks and contents.

A mark is what the file system tells about a file: its place, size and times. A file whose mark has
not changed has not changed either, if the mark is *settled*: if the file was two seconds old when
it was read. Before that, it could change again without a difference in its times.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import NamedTuple, Optional, Union

from ..errors import CacheError

Path = Union[str, os.PathLike[str]]
FileMark = tuple[int, int, int, int, int]

_SUFFIXES = (".bpmn", ".dmn")
_SETTLES_IN = 2 * 10**9  # nanoseconds; the coarsest times of a file system are of two seconds


class Read(NamedTuple):
    """The content of a file, and its mark from before it was read."""

    content: bytes
    mark: FileMark
    settled: bool


class Sources:
    """The model files in a folder and below it, or those of a list.

    The name of a file in a folder is its path from there, with "/". Hidden files and folders do not
    count, and neither do folders that are symbolic links. The name of a file in a list is its path
    as it was given.
    """

    def __init__(self, where: Union[Path, Iterable[Path]]) -> None:
        self._folder: Optional[str] = None
        self._paths: dict[str, str] = {}
        if isinstance(where, (str, os.PathLike)):
            self._folder = os.fspath(where)
            self.label: str = os.path.abspath(self._folder)
        else:
            self._paths = {os.fspath(path): os.path.abspath(path) for path in where}
            self.label = "\0".join(sorted(self._paths.values()))

    def __repr__(self) -> str:
        return repr(self._folder) if self._folder is not None else f"{len(self._paths)} files"

    def marks(self) -> dict[str, FileMark]:
        """The mark of each file. Raises CacheError if a folder cannot be listed."""
        try:
            if self._folder is not None:
                return _walk(self._folder)
            return {name: _mark(os.stat(path)) for name, path in self._paths.items()}
        except OSError as error:
            raise CacheError(f"cannot look at the model files {self!r}: {error}") from error

    def read(self, name: str) -> Optional[Read]:
        """Read a file; None if it is not there (any more). Raises CacheError."""
        path = self._paths.get(name)
        if self._folder is not None:
            path = os.path.join(self._folder, *name.split("/"))
        if path is None:
            return None
        try:
            with open(path, "rb") as stream:
                status = os.fstat(stream.fileno())
                content = stream.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CacheError(f"cannot read the model file {path!r}: {error}") from error
        changed = max(status.st_mtime_ns, status.st_ctime_ns)
        return Read(content, _mark(status), changed + _SETTLES_IN < time.time_ns())


def _mark(status: os.stat_result) -> FileMark:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _walk(folder: str) -> dict[str, FileMark]:
    """The marks of the model files in a folder. It is done at each start, so it is written flat.

    What is removed meanwhile is not there.
    """
    found: dict[str, FileMark] = {}
    waiting = [(folder, "")]
    for path, within in waiting:  # grows
        try:
            entries = os.scandir(path)
        except FileNotFoundError:
            if not within:
                raise
            continue
        with entries:
            for entry in entries:
                name = entry.name
                if name[0] == ".":
                    continue
                if name[-5:].lower().endswith(_SUFFIXES) and entry.is_file():
                    try:  # noqa: SIM105 - `suppress` takes longer
                        # Not `entry.stat()`, which tells no inode and no change time on Windows.
                        found[within + name] = _mark(os.stat(entry.path))
                    except FileNotFoundError:
                        pass
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, f"{within}{name}/"))
    return found
