"""All differences between operating systems and file systems.

Each difference is a constant or a function of this module. It is looked up when it is used, so a
test can choose the other branch on any machine.
"""

from __future__ import annotations

import errno
import ntpath
import os
import time
from contextlib import suppress
from types import ModuleType
from typing import Any, Callable, Optional

fcntl: Optional[ModuleType]
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

WINDOWS = os.name == "nt"

# A flag that a platform does not have is 0. These flags do not pass an open file to child
# processes, do not translate bytes on Windows, and do not wait for a pipe in the place of a pack.
_OPEN = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOINHERIT", 0) | getattr(os, "O_BINARY", 0)
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
READ = os.O_RDONLY | _OPEN | getattr(os, "O_NONBLOCK", 0)
WRITE = os.O_WRONLY | _OPEN | NO_FOLLOW | getattr(os, "O_NONBLOCK", 0)
SYNC = READ if not WINDOWS else os.O_RDWR | _OPEN  # Windows syncs only files open for writing
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN | NO_FOLLOW
UPDATE = os.O_RDWR | os.O_CREAT | _OPEN | NO_FOLLOW

# Whether a file can be read at an offset while others read it too. Windows cannot do this, and it
# cannot replace an open file. There, files are read whole and closed at once.
READS_AT = hasattr(os, "pread")

# The length of the longest path that Windows accepts unchanged (MAX_PATH without the end mark).
# None on systems that report a path that is too long.
LONGEST_PATH = 259 if WINDOWS else None

# How often to try again if another process is using a file, and how many seconds to wait each time.
PATIENCE = 50
PAUSE = 0.01


def reachable(directory: str, below: int) -> str:
    """A directory in a form that also allows paths that are `below` characters longer."""
    if LONGEST_PATH is None or directory.startswith(("\\\\?\\", "\\\\.\\")):
        return directory
    whole = ntpath.abspath(directory)
    if len(whole) + below <= LONGEST_PATH:
        return directory
    return f"\\\\?\\UNC{whole[1:]}" if whole.startswith("\\\\") else f"\\\\?\\{whole}"


def in_use(error: OSError) -> bool:
    """Whether a file cannot be removed or renamed because it is open somewhere."""
    return WINDOWS and isinstance(error, PermissionError)


def _patiently(do: Callable[..., Any], *arguments: Any) -> Any:
    """Do something with a file; on Windows, wait while others have it open or rename it."""
    for _ in range(PATIENCE if WINDOWS else 0):
        try:
            return do(*arguments)
        except PermissionError:
            time.sleep(PAUSE)
    return do(*arguments)


def open_to_read(path: str, *, follow: bool) -> int:
    """Open a file that others may replace or remove; a symbolic link only with `follow`.

    Raises IsADirectoryError for a directory if the system cannot open directories.
    """
    try:
        file: int = _patiently(os.open, path, READ | (0 if follow else NO_FOLLOW))
    except PermissionError as error:
        if WINDOWS and os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path) from error
        raise
    return file


def open_to_lock(path: str) -> int:
    """Open a file that others may rename or replace; -1 if that is not possible."""
    if not WINDOWS:
        with suppress(OSError):
            return os.open(path, READ | NO_FOLLOW)
    return -1


def try_lock(file: int, *, shared: bool = False) -> Optional[bool]:
    """Lock an open file until it is closed or the process ends in any way.

    Returns False if another process holds the lock, and None if files cannot be locked. Several
    processes can hold a `shared` lock.
    """
    if fcntl is None or file < 0:
        return None
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems
        return None
    return True


def lock_patiently(file: int) -> None:
    """Lock an open file, shared; continue without the lock if another process keeps it."""
    for _ in range(PATIENCE):
        if try_lock(file, shared=True) is not False:
            break
        time.sleep(PAUSE)


def unlock(file: int) -> None:
    """Release a lock. Closing the file is not enough if a child process was forked."""
    if fcntl is not None and file >= 0:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)


def touch(file: int, path: str) -> None:
    """Set the time of a file to now, in nanoseconds: the clocks of file systems are coarser.

    Does nothing if the file belongs to another user or cannot be changed.
    """
    now = time.time_ns()
    with suppress(OSError):
        os.utime(file if file >= 0 and os.utime in os.supports_fd else path, ns=(now, now))


def unlink(path: str) -> None:
    """Remove a file; on Windows, wait while readers have it open."""
    _patiently(os.unlink, path)


def replace(source: str, target: str) -> None:
    """Rename a file and replace the target; on Windows, wait while readers have it open."""
    _patiently(os.replace, source, target)


def put_back(source: str, target: str) -> None:
    """Rename `source` to `target`, but if there is a target already, remove `source`."""
    try:
        os.link(source, target)
    except FileExistsError:
        pass
    except (OSError, AttributeError):  # no hard links here
        if not os.path.lexists(target):
            os.rename(source, target)
            return
    os.unlink(source)


def sync_file(file: int) -> None:
    """Return when the content of the file is on the disk.

    On macOS, `fsync` leaves the content in the cache of the drive. This function does the same only
    if the file system has nothing better.
    """
    if fcntl is not None and hasattr(fcntl, "F_FULLFSYNC"):
        with suppress(OSError):
            fcntl.fcntl(file, fcntl.F_FULLFSYNC)
            return
    os.fsync(file)


def sync_directory(path: str) -> None:
    """Return when the entries of the directory are on the disk. Windows cannot do this."""
    if WINDOWS:
        return
    file = os.open(path, os.O_RDONLY | _OPEN)
    try:
        sync_file(file)
    finally:
        os.close(file)
