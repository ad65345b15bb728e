"""Serves an example so that the steps of several clients overlap: `overlapping.py MODULE NUMBER`.

A step waits until the steps of so many clients have read the instance. So all of them have read the
same state.
"""

from __future__ import annotations

import sys
from importlib import import_module
from threading import Barrier
from typing import Any

from web_servers import EXAMPLES


def main(name: str, number: int) -> None:
    sys.path.append(str(EXAMPLES))
    example = import_module(name)
    barrier, read = Barrier(number), example.read

    def read_together(*args: Any) -> Any:
        found = read(*args)
        barrier.wait()
        return found

    example.read = read_together  # type: ignore[attr-defined]
    import uvicorn  # noqa: PLC0415

    uvicorn.run(example.app, port=0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
