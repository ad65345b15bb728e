"""The rows of instances with a history: the cost of a step, and what must not become slower."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Optional

from measured import BEFORE, Ask, Results, Row, faster, of_times, spread, within

TREE, FIRST = "1110", "10"  # finished calls of the large tree, and of its first level
UNSETTLED = ("start", "resume", "resume deep", "save", "save deep")
FIRST_LEVEL = "nothing below the first level"


def asked() -> list[Ask]:
    """All rows that are made of two times."""
    made = [
        faster("step, tree, pieces apart", TREE, "pieces", BEFORE, 300, "step, tree"),
        faster("step, tree, pieces apart", TREE, "pieces", "json", None, "step, tree"),
        faster("step, tree, one text", TREE, "text", BEFORE, 40, "step, tree"),
        faster("step, tree, one text", TREE, "text", "json", None, "step, tree"),
    ]
    for case, what, bound in (
        ("step, multi", "step, sequential multi-instance", 7),
        ("step, loop", "step, loop in the root", 4),
    ):
        made += [
            faster(f"{what}, one text", "200", "text", BEFORE, bound, case),
            faster(f"{what}, one text", "200", "text", "json", None, case),
            faster(f"{what}, pieces apart", "200", "pieces", BEFORE, None, case),
        ]
    for subject, how in (("text", "one text"), ("pieces", "the live piece"), ("dict", "a dict")):
        what = f"what an instance waits for, from {how}"
        made.append(faster(what, TREE, subject, "json", None, "waiting"))
    made.append(within("cutting a state", TREE, "text", "loads", 0.25, "cut"))
    for what in UNSETTLED:
        case = f"{what}, nothing settled"
        made.append(within(case, "36", "text", BEFORE, 1.05))
    for subject, how in (("text", "one text"), ("pieces", "pieces apart")):
        what = f"step, parallel calls that wait, {how}"
        made.append(faster(what, "1000", subject, BEFORE, None, "step, resting"))
    return made


def rows(results: Results) -> Iterator[Optional[Row]]:
    """Those of the rows that were measured."""
    first = Ask("", ("step, tree", TREE, "pieces"), ("step, first level", FIRST, "pieces"), False)
    level = of_times(results, first._replace(what="step, tree, pieces apart", bound=1.3))
    yield level and level._replace(against=FIRST_LEVEL)
    yield from _moved(results)
    for ask in asked():
        yield of_times(results, ask)
    yield _resumed(results)
    yield _walked(results)


def _moved(results: Results) -> Iterator[Row]:
    """Bytes read and written by a step."""

    def both(on: str, subject: str) -> list[int]:
        read = results.probed("moved", on, subject, "read")
        return [sum(pair) for pair in zip(read, results.probed("moved", on, subject, "written"))]

    ours = both(TREE, "pieces")
    for on, subject, against, bound in (
        (FIRST, "pieces", FIRST_LEVEL, 1.3),
        (TREE, BEFORE, BEFORE, None),
        (TREE, "json", "json", None),
    ):
        other = both(on, subject)
        if ours and other:
            ratio = (ours[0] / other[0],) * 3
            what = "bytes read and written by a step, pieces apart"
            yield Row(what, TREE, against, ours[0], other[0], "B", ratio, bound, True)


def _resumed(results: Results) -> Optional[Row]:
    """The memory of a resumed instance, compared with its text."""
    each = results.probed("resumed", TREE, "text", "each")
    if not each:
        return None
    text = results.probed("resumed", TREE, "text", "text")
    ratios = spread([one / of for one, of in zip(each, text)])
    what = "memory of a resumed instance, one text"
    return Row(what, TREE, "its text", median(each), text[0], "B", ratios, 1.5, True)


def _walked(results: Results) -> Optional[Row]:
    """The last steps of an instance that goes through many calls, compared with the first."""
    last = results.probed("walk", TREE, "pieces", "last")
    if not last:
        return None
    first = results.probed("walk", TREE, "pieces", "first")
    finished = results.probed("walk", TREE, "pieces", "finished")[0]
    ratios = spread([b / a for a, b in zip(first, last)])
    what, against = "step of examples/sqlite_instances.py, last 100 of 1,000", "first 100"
    note = f"{finished:,} calls are finished after the last step"
    return Row(what, TREE, against, median(last), median(first), "s", ratios, 1.3, True, note)
