"""What `show` and `graph` say about a workflow, and how they fold a large one.

The size of a process is the size of its spec's JSON, and the size of the workflow is the sum. All
facts come from the public `ElementUnits`, and are computed when they are needed.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple, Optional

import orjson

from ..units import ElementUnits


class Link(NamedTuple):
    """The references of one kind from one process to another, and their elements."""

    kind: str
    process_id: str
    elements: tuple[str, ...]
    external: bool


class StartUnit(NamedTuple):
    """The unit that starts a process: its processes, its size in bytes and its largest process."""

    process_ids: tuple[str, ...]
    size: int
    largest: str


class Facts:
    """The facts about one workflow.

    `origins` has the cache key of each process that another workflow contains.
    """

    def __init__(self, units: ElementUnits, origins: Optional[dict[str, str]] = None) -> None:
        self.units = units
        self.origins = origins or {}
        self.root = units.root
        self.process_ids = units.process_ids
        self._links: dict[str, tuple[Link, ...]] = {}

    @cached_property
    def sizes(self) -> dict[str, int]:
        """The size of each process."""
        return {one: len(self.units.spec_json(one)) for one in self.process_ids}

    @cached_property
    def whole(self) -> int:
        """The size of all processes."""
        return sum(self.sizes.values())

    def tasks(self, process_id: str) -> int:
        """The number of task specs of a process."""
        return len(orjson.loads(self.units.spec_json(process_id))["task_specs"])

    def links(self, process_id: str) -> tuple[Link, ...]:
        """The links of a process in its order; one link for all references of a kind."""
        links = self._links.get(process_id)
        if links is None:
            elements: dict[tuple[str, str, bool], list[str]] = {}
            for kind, to, element, external in self.units.references(process_id):
                elements.setdefault((kind, to, external), []).append(element)
            links = self._links[process_id] = tuple(
                Link(kind, to, tuple(named), external)
                for (kind, to, external), named in elements.items()
            )
        return links

    def start_unit(self, process_id: str) -> StartUnit:
        """The unit that starts a process."""
        held = self.units.needs(process_id)
        text = self.units.workflow(process_id)
        size = len(text) if text.isascii() else len(text.encode())
        return StartUnit(held, size, max(held, key=self.sizes.__getitem__))

    def reached(self, start: list[str]) -> dict[str, None]:
        """All processes that the given ones lead to, including themselves, nearest first."""
        reached = dict.fromkeys(start)
        waiting = list(reached)
        for process_id in waiting:  # grows
            for link in self.links(process_id):
                if not link.external and link.process_id not in reached:
                    reached[link.process_id] = None
                    waiting.append(link.process_id)
        return reached

    @cached_property
    def tops(self) -> tuple[str, ...]:
        """The root, and processes that it does not lead to: all others are below one of these."""
        tops = [self.root]
        reached = self.reached(tops)
        if len(reached) < len(self.process_ids):
            rest = [one for one in self.process_ids if one not in reached]
            called = {
                link.process_id
                for one in rest
                for link in self.links(one)
                if link.process_id != one
            }
            for one in [*(one for one in rest if one not in called), *rest]:
                if one not in reached:
                    tops.append(one)
                    reached.update(self.reached([one]))
        return tuple(tops)


class Folded(NamedTuple):
    """The part of a workflow that fits into a drawing.

    `links` contains the drawn links of each process that is unfolded. `hidden` contains the
    processes that are not drawn, under the process that leads to them. Each hidden process is under
    exactly one process.
    """

    tops: tuple[str, ...]
    links: dict[str, tuple[Link, ...]]
    hidden: dict[str, tuple[str, ...]]


def fold(facts: Facts, tops: tuple[str, ...], limit: int) -> Folded:
    """Unfold level by level, until there are `limit` links; 0 means no limit.

    If a level does not fit, a part of it is drawn: each process of the level above gets the same
    number of links, its largest ones.
    """
    limit = limit or sum(len(facts.links(one)) for one in facts.reached(list(tops))) + len(tops)
    drawn = dict.fromkeys(tops[: max(limit, 1)])
    links: dict[str, tuple[Link, ...]] = {}
    level = list(drawn)
    left = limit - len(level)
    while level:
        wanted = sum(len(facts.links(one)) for one in level)
        share = max(left, 0) // len(level)
        for one in level:
            all_of_it = facts.links(one)
            links[one] = all_of_it if wanted <= left else _largest(facts, all_of_it, share)
        following = (link for one in level for link in links[one] if not link.external)
        new = dict.fromkeys(link.process_id for link in following if link.process_id not in drawn)
        drawn.update(new)
        if wanted > left:
            break
        left -= wanted
        level = list(new)
    return Folded(tuple(tops), links, _hidden(facts, drawn))


def _largest(facts: Facts, links: tuple[Link, ...], count: int) -> tuple[Link, ...]:
    by_size = sorted(links, key=lambda link: -facts.sizes.get(link.process_id, 0))
    chosen = set(by_size[:count])
    return tuple(link for link in links if link in chosen)


def _hidden(facts: Facts, drawn: dict[str, None]) -> dict[str, tuple[str, ...]]:
    """The processes that are not drawn, under the process that leads to them, deepest first."""
    seen = set(drawn)
    hidden: dict[str, tuple[str, ...]] = {}
    for process_id in reversed(list(drawn)):
        found: list[str] = []
        waiting = [process_id]
        for one in waiting:  # grows
            for link in facts.links(one):
                if not link.external and link.process_id not in seen:
                    seen.add(link.process_id)
                    found.append(link.process_id)
                    waiting.append(link.process_id)
        if found:
            hidden[process_id] = tuple(found)
    return hidden
