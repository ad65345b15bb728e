"""The files that `CachedStore` keeps in a local directory, and how much they may be."""

from __future__ import annotations

import hashlib
import math
import os
import re
import stat
import time
from contextlib import suppress

from . import platform
from .directory import LOG, directory_path
from .store import CacheDir

_TOUCHED = 60.0  # seconds until a file that is used becomes new again
_LOWER = 0.9  # the share of the limit that is left after files were removed
_TOP = re.compile("[0-9a-f]{16}")  # the folder of a store


class KeptFiles:
    """The files of one store below a directory. Messages name the store.

    If the files of all stores have more than `max_bytes`, those that were not used for longest are
    removed. Other files in the directory do not count, and stay. Threads and processes may share
    it.
    """

    def __init__(self, directory: CacheDir, store: str, max_bytes: int) -> None:
        self._directory = directory_path(directory)
        self._store = store
        self._max_bytes = max_bytes
        self._told = False
        self._unchecked = math.inf  # bytes that were written since the size was last looked at
        self.top = os.path.join(self._directory, hashlib.sha256(store.encode()).hexdigest()[:16])

    def __str__(self) -> str:
        return self._directory

    def path(self, name: str) -> str:
        kind, _, rest = name.partition("/")[2].partition("/")
        return os.path.join(self.top, kind, rest)

    def make_directory(self, path: str) -> None:
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            os.makedirs(folder, exist_ok=True)

    def touch(self, file: int, path: str) -> None:
        """Say that a file is in use."""
        if abs(time.time() - os.fstat(file).st_mtime) > _TOUCHED:
            platform.touch(-1, path)

    def cannot(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            LOG.warning(
                f"cannot keep what was read from {self._store} in {self._directory!r}: {error}; "
                "it is read from there each time"
            )

    def written(self, size: int) -> None:
        """Look at the size of the directory after each hundredth of the limit that was written."""
        self._unchecked += size
        if self._unchecked > self._max_bytes / 100:
            self._unchecked = 0
            self._make_room()

    def _make_room(self) -> None:
        """Remove the files that were not used for longest if there is too much."""
        files = []
        for folder, below, names in os.walk(self._directory):
            if folder == self._directory:
                below[:] = filter(_TOP.fullmatch, below)
                continue
            for name in names:
                with suppress(OSError):
                    path = os.path.join(folder, name)
                    status = os.lstat(path)
                    if stat.S_ISREG(status.st_mode):
                        size = getattr(status, "st_blocks", 0) * 512 or status.st_size
                        used = max(status.st_mtime, status.st_atime)
                        files.append((used, size, path))
        total = sum(size for _, size, _ in files)
        if total <= self._max_bytes:
            return
        for _, size, path in sorted(files):
            if total <= _LOWER * self._max_bytes:
                return
            with suppress(OSError):
                os.unlink(path)
                total -= size
