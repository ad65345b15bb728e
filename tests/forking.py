"""Forks children while a thread of the parent is in the middle of an operation."""

from __future__ import annotations

import os
import signal
import threading
import warnings

LIMIT = 60  # seconds after which a hanging child is killed; no other takes that long


def in_child(action):
    """The result of an action in a forked child: "done", or how it failed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forking threads
        pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LIMIT)
        try:
            action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return f"killed by signal {os.WTERMSIG(status)}"
    return "done" if os.WEXITSTATUS(status) == 0 else "raised"


class Halfway:
    """Does something in a thread, and stops in the middle of it until the `with` block ends.

    Fails if the block does not end before the thread goes on by itself.
    """

    def __init__(self, action):
        self._arrived, self._released = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=action)
        self._went_on = False

    def stop(self, *args):
        """The action calls this in the middle."""
        if threading.current_thread() is self._thread:
            self._arrived.set()
            self._went_on = not self._released.wait(LIMIT)
        return {}

    def __enter__(self):
        self._thread.start()
        assert self._arrived.wait(LIMIT)

    def __exit__(self, *error):
        self._released.set()
        self._thread.join()
        assert not self._went_on, "the block waited for the thread"
