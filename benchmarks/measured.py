"""Measurements, and the ratios between two of them.

A ratio compares two jobs of one round, by the medians of their values. Its spread is the quartiles
over the rounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any, NamedTuple, Optional

RIVAL = "0.3.1"
BEFORE = "0.4.0"
MICRO = 1e-6


def name_of(what: str, workflow: str, subject: str) -> str:
    """The name of a measurement in the results."""
    return f"{what} | {workflow} | {subject}"


@dataclass
class Results:
    """Measurements by name: for each round the values in seconds, or what a probe found."""

    times: dict[str, list[list[float]]] = field(default_factory=dict)
    probes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def rounds(self, *name: str) -> list[float]:
        """The median of each round, in seconds; empty if it was not measured."""
        return [median(values) for values in self.times.get(name_of(*name), [])]

    def probed(self, what: str, workflow: str, subject: str, key: str) -> list[Any]:
        """What a probe found in each round."""
        return [found[key] for found in self.probes.get(name_of(what, workflow, subject), [])]

    def sizes(self, what: str, subject: str) -> dict[int, list[float]]:
        """The rounds of a case by number of processes."""
        found = {}
        for name in self.times:
            case, workflow, its_subject = name.split(" | ")
            if (case, its_subject) == (what, subject) and workflow.isdigit():
                found[int(workflow)] = self.rounds(case, workflow, its_subject)
        return dict(sorted(found.items()))


class Row(NamedTuple):
    """One row of the table: two measurements, their ratio, and the limit of the ratio.

    `ours` and `other` are seconds or bytes, as `unit` says. `ratio` is `(lower quartile, median,
    upper quartile)`. It must be `bound` at least or at most, as `most` says; None: it is told only.
    """

    what: str
    on: str
    against: str
    ours: float
    other: float
    unit: str
    ratio: tuple[float, float, float]
    bound: Optional[float]
    most: bool
    note: str = ""

    @property
    def reached(self) -> Optional[bool]:
        """Whether the median is what it must be; None where nothing is asked."""
        if self.bound is None:
            return None
        return self.ratio[1] <= self.bound if self.most else self.ratio[1] >= self.bound


# The rows. A name is (case, number of processes, subject).


class Ask(NamedTuple):
    """A row to make of times: `faster` says that the ratio is other / ours, else ours / other."""

    what: str
    ours: tuple[str, str, str]
    other: tuple[str, str, str]
    faster: bool
    bound: Optional[float] = None


def faster(
    what: str, on: str, ours: str, than: str, bound: Optional[float] = None, case: str = ""
) -> Ask:
    """A row for "at least so many times faster"."""
    return Ask(what, (case or what, on, ours), (case or what, on, than), True, bound)


def within(
    what: str, on: str, ours: str, of: str, bound: Optional[float] = None, case: str = ""
) -> Ask:
    """A row for "at most so many times the cost of"."""
    return Ask(what, (case or what, on, ours), (case or what, on, of), False, bound)


def grows(what: str, case: str, subject: str, small: str, large: str, bound: float) -> Ask:
    """A row for "grows by at most"."""
    return Ask(what, (case, large, subject), (case, small, subject), False, bound)


def of_times(results: Results, ask: Ask) -> Optional[Row]:
    """The row of two times, if both were measured."""
    ours, other = results.rounds(*ask.ours), results.rounds(*ask.other)
    if not ours or not other:
        return None
    ratios = [b / a if ask.faster else a / b for a, b in zip(ours, other)]
    same = ask.ours[1] == ask.other[1]
    on = ask.ours[1] if same else f"{ask.other[1]} -> {ask.ours[1]}"
    against = ask.other[2] if same else "itself"
    values = median(ours), median(other)
    return Row(ask.what, on, against, *values, "s", spread(ratios), ask.bound, not ask.faster)


def spread(ratios: list[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    if len(ratios) < 2:
        return (ratios[0],) * 3
    low, middle, high = quantiles(ratios, n=4, method="inclusive")
    return low, middle, high
