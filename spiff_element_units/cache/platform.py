"""Where operating systems and file systems differ, in one place.

Each difference is a constant or a function of this module, looked up when it is used, so that a
test can take the other branch on any machine.
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

# Flags that a platform lacks are 0. Give no open file to child processes; bytes as they are on
# Windows; do not wait for a pipe in a pack's place.
_OPEN = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOINHERIT", 0) | getattr(os, "O_BINARY", 0)
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
READ = os.O_RDONLY | _OPEN | getattr(os, "O_NONBLOCK", 0)
WRITE = os.O_WRONLY | _OPEN | NO_FOLLOW | getattr(os, "O_NONBLOCK", 0)
SYNC = READ if not WINDOWS else os.O_RDWR | _OPEN  # Windows syncs what is open for writing alone
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN | NO_FOLLOW

# Whether a file can be read at a place, whoever else reads it. Windows cannot, nor does it let a
# file be replaced while it is open: files are read whole there and closed at once.
READS_AT = hasattr(os, "pread")

# The characters of the longest path that Windows takes as it is (MAX_PATH, less the end mark);
# None where the system itself tells what is too long.
LONGEST_PATH = 259 if WINDOWS else None

# How often something that another process is in the middle of is tried again, and the seconds
# between.
PATIENCE = 50
PAUSE = 0.01


def reachable(directory: str, below: int) -> str:
    """A directory in a form in which paths that are `below` characters longer can be used too."""
    if LONGEST_PATH is None or directory.startswith(("\\\\?\\", "\\\\.\\")):
        return directory
    whole = ntpath.abspath(directory)
    if len(whole) + below <= LONGEST_PATH:
        return directory
    return f"\\\\?\\UNC{whole[1:]}" if whole.startswith("\\\\") else f"\\\\?\\{whole}"


def in_use(error: OSError) -> bool:
    """Whether a file cannot be removed or renamed because somebody has it open."""
    return WINDOWS and isinstance(error, PermissionError)


def _patiently(do: Callable[..., Any], *arguments: Any) -> Any:
    """Do something with a file; on Windows, wait for others that have it open or rename it."""
    for _ in range(PATIENCE if WINDOWS else 0):
        try:
            return do(*arguments)
        except PermissionError:
            time.sleep(PAUSE)
    return do(*arguments)


def open_to_read(path: str, *, follow: bool) -> int:
    """Open a file that may be replaced or removed meanwhile, a symbolic link only to `follow` it.

    Raises IsADirectoryError for a directory, where the system opens none.
    """
    try:
        file: int = _patiently(os.open, path, READ | (0 if follow else NO_FOLLOW))
    except PermissionError as error:
        if WINDOWS and os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path) from error
        raise
    return file


def open_to_lock(path: str) -> int:
    """Open a file that may be renamed or replaced meanwhile; -1 where that cannot be."""
    if not WINDOWS:
        with suppress(OSError):
            return os.open(path, READ | NO_FOLLOW)
    return -1


def try_lock(file: int, *, shared: bool = False) -> Optional[bool]:
    """Lock an open file until it is closed or the process dies, whatever kills it.

    False where another process holds it, None where files cannot be locked. Who holds it `shared`
    lets others do so too.
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
    """Lock an open file, shared; go on without where another process does not give it back."""
    for _ in range(PATIENCE):
        if try_lock(file, shared=True) is not False:
            break
        time.sleep(PAUSE)


def unlock(file: int) -> None:
    """Give a lock back. Closing would not, where a child process was forked meanwhile."""
    if fcntl is not None and file >= 0:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)


def touch(file: int, path: str) -> None:
    """Set a file's time to now, to the nanosecond: file systems' own clocks are coarser.

    Nothing happens where the file is another user's or cannot be changed.
    """
    now = time.time_ns()
    with suppress(OSError):
        os.utime(file if file >= 0 and os.utime in os.supports_fd else path, ns=(now, now))


def unlink(path: str) -> None:
    """Remove a file; on Windows, wait for readers that have it open."""
    _patiently(os.unlink, path)


def replace(source: str, target: str) -> None:
    """Rename over what is there; on Windows, wait for readers that have it open."""
    _patiently(os.replace, source, target)


def put_back(source: str, target: str) -> None:
    """Rename, but where there is something by now leave that and drop `source`."""
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
    """Return when what was written to the file is on the disk.

    On macOS `fsync` leaves it in the drive's own cache; where the file system has nothing better,
    so does this.
    """
    if fcntl is not None and hasattr(fcntl, "F_FULLFSYNC"):
        with suppress(OSError):
            fcntl.fcntl(file, fcntl.F_FULLFSYNC)
            return
    os.fsync(file)


def sync_directory(path: str) -> None:
    """Return when the names in the directory are on the disk. Windows has no such call."""
    if WINDOWS:
        return
    file = os.open(path, os.O_RDONLY | _OPEN)
    try:
        sync_file(file)
    finally:
        os.close(file)
