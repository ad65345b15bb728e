"""`ls`, `verify`, `prune` and `rm`: managing a cache."""

from __future__ import annotations

import re
from typing import Any, Optional

import click

from ..cache import places, upkeep
from ..cache.store import Place
from ..errors import ElementUnitsError
from ..units import ElementUnits
from ._app import command
from ._output import Column, Output, count, escaped, moment, shown
from ._place import KEY, ParamType, cache_dir, not_cached, require_cache

_UNITS_OF_TIME = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_UNITS_OF_SIZE = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


class _Quantity(ParamType):
    """A number with a unit."""

    def __init__(self, name: str, units: dict[str, int], example: str) -> None:
        self.name = name
        self._units = units
        self._example = example

    def convert(
        self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]
    ) -> Any:
        found = re.fullmatch(r"(\d+(?:\.\d+)?) *([a-z]*)", str(value), re.IGNORECASE | re.ASCII)
        by_name = {unit.lower(): size for unit, size in self._units.items()}
        size = by_name.get(found[2].lower()) if found else None
        if found is None or size is None:
            self.fail(f"{value!r} does not have the form {self._example}", param, ctx)
        return int(float(found[1]) * size)


_SORTS = {
    "size": lambda row: (-row["bytes"], row["key"]),
    "key": lambda row: row["key"],
    "processes": lambda row: (-(row["processes"] or 0), row["key"]),
    "time": lambda row: (row["cached_at"], row["key"]),
}


def _described(cached: upkeep.CachedWorkflow) -> dict[str, Any]:
    return {
        "key": cached.cache_key,
        "bytes": cached.size,
        "cached_at": moment(cached.cached_at),
        "digest": cached.digest,
        "path": cached.path,
    }


@command("spiff-element-units ls unit-cache --sort time")
@cache_dir
@click.option(
    "--sort",
    type=click.Choice(list(_SORTS)),
    default="size",
    show_default=True,
    help="Largest first, most processes first, oldest first, or by key.",
)
def ls(out: Output, cache_dir: Place, sort: str) -> None:
    """List the cached workflows: key, size, number of processes, time of caching (UTC)."""
    require_cache(cache_dir)
    rows = []
    for cached in upkeep.cache_keys(cache_dir):
        try:
            processes = len(ElementUnits.open(cache_dir, cached.cache_key).process_ids)
        except ElementUnitsError:  # removed or damaged in the meantime
            processes = None
        rows.append({**_described(cached), "processes": processes})
    rows.sort(key=_SORTS[sort])
    if out.as_json:
        return out.json({"cache_dir": str(cache_dir), "workflows": rows})
    columns = [
        Column("key"),
        Column("size", True, rank=1),
        Column("processes", True, rank=2),
        Column("cached", rank=3),
    ]
    out.table(
        columns,
        [
            (shown(row["key"]), out.size(row["bytes"]), _number(row), row["cached_at"])
            for row in rows
        ],
    )
    if out.terminal:
        total = out.size(sum(row["bytes"] for row in rows))
        out.line(f"{count(len(rows), 'workflow')}, {total}", "dim")
    return None


def _number(row: dict[str, Any]) -> str:
    return "damaged" if row["processes"] is None else str(row["processes"])


@command("spiff-element-units verify unit-cache")
@cache_dir
def verify(out: Output, cache_dir: Place) -> int:
    """Read every workflow of a cache and check every byte.

    The exit code is 1 if anything is damaged. To repair it, cache the workflow again.
    """
    require_cache(cache_dir)
    report = upkeep.verify_cache(cache_dir)
    if out.as_json:
        out.json(
            {
                "cache_dir": str(cache_dir),
                "ok": report.ok,
                "good": [_described(one) for one in report.good],
                "damaged": [
                    {"path": one.path, "key": one.cache_key, "reason": one.reason}
                    for one in report.damaged
                ],
                "leftovers": list(report.leftovers),
            }
        )
        return 0 if report.ok else 1
    for one in report.damaged:
        key = "" if one.cache_key is None else f" {shown(one.cache_key)}"
        out.line(f"damaged{key}: {escaped(one.reason)}", "red")
    for path in report.leftovers:
        out.line(
            f"temporary file {path}: being written, or abandoned; prune removes abandoned files",
            "yellow",
        )
    out.line(f"{len(report.good)} good, {len(report.damaged)} damaged")
    return 0 if report.ok else 1


_dry_run = click.option(
    "--dry-run", is_flag=True, help="Show what would be removed, but remove nothing."
)


@command("spiff-element-units prune unit-cache --max-age 30d --max-bytes 500MB --dry-run")
@cache_dir
@click.option(
    "--max-age",
    type=_Quantity("age", _UNITS_OF_TIME, "30d (s, m, h, d, w)"),
    help="Remove workflows that were cached longer ago: 90s, 15m, 12h, 30d, 8w.",
)
@click.option(
    "--max-bytes",
    type=_Quantity("size", _UNITS_OF_SIZE, "500MB (B, kB, MB, GB, TB)"),
    help="Remove the oldest until the cache is at most this size: 500MB, 2GB.",
)
@_dry_run
def prune(
    out: Output,
    cache_dir: Place,
    max_age: Optional[int],
    max_bytes: Optional[int],
    dry_run: bool,
) -> None:
    """Remove old workflows, and leftovers of processes that died while they wrote.

    Without --max-age and --max-bytes, only leftovers are removed.
    """
    require_cache(cache_dir)
    report = upkeep.prune_cache(cache_dir, max_age=max_age, max_bytes=max_bytes, dry_run=dry_run)
    if out.as_json:
        return out.json(
            {
                "cache_dir": str(cache_dir),
                "dry_run": dry_run,
                "removed": [_described(one) for one in report.removed],
                "leftovers": list(report.leftovers),
                "bytes_freed": report.bytes_freed,
            }
        )
    would = "would remove" if dry_run else "removed"
    for one in report.removed:
        out.line(f"{would} {shown(one.cache_key)}, {moment(one.cached_at)}, {out.bytes(one.size)}")
    for path in report.leftovers:
        out.line(f"{would} leftover {path}")
    freed = "would be freed" if dry_run else "freed"
    return out.line(
        f"{count(len(report.removed), 'workflow')}, {count(len(report.leftovers), 'leftover')}, "
        f"{out.bytes(report.bytes_freed)} {freed}"
    )


@command("spiff-element-units rm unit-cache claim-1")
@cache_dir
@click.argument("keys", metavar="KEY...", nargs=-1, required=True, type=KEY)
@_dry_run
def rm(out: Output, cache_dir: Place, keys: tuple[str, ...], dry_run: bool) -> int:
    """Remove workflows from a cache.

    A key that is not cached is an error. The other keys are still removed.
    """
    require_cache(cache_dir)
    removed: list[str] = []
    missing: list[str] = []
    for key in dict.fromkeys(keys):
        there = (
            places.is_cached(cache_dir, key)
            if dry_run
            else upkeep.remove_cached_workflow(cache_dir, key)
        )
        (removed if there else missing).append(key)
    if out.as_json:
        out.json(
            {
                "cache_dir": str(cache_dir),
                "dry_run": dry_run,
                "removed": removed,
                "missing": missing,
            }
        )
    else:
        for key in removed:
            out.line(f"{'would remove' if dry_run else 'removed'} {shown(key)}")
    for key in missing:
        click.echo(f"spiff-element-units: {escaped(not_cached(cache_dir, key))}", err=True)
    return 1 if missing else 0
