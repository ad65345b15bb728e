"""The rows of a worker that has many models: each against a limit that was set."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from measured import MICRO, Results, Row, spread

MODELS = "36"  # processes of each model
LIMITS = (
    ("a loader that the registry keeps", "registry hit", "ours", 2 * MICRO, "2 µs"),
    ("a model in 500 files, by stat", "unchanged folder", "stat", 5e-3, "5 ms"),
    ("a model in 500 files, by digests", "unchanged folder", "digests", 0.1, "100 ms"),
)


def rows(results: Results) -> Iterator[Row]:
    """Those of the rows that were measured."""
    for what, case, subject, limit, told in LIMITS:
        ours = results.rounds(case, MODELS, subject)
        if ours:
            ratios = spread([one / limit for one in ours])
            yield Row(what, "", told, median(ours), limit, "s", ratios, 1, True)
    for found in results.probes.get(f"worker | {MODELS} | ours", [])[:1]:
        few, many = (found[name] - found["before"] for name in ("few", "many"))
        note = f"{found['loaders']:,} loaders and {found['specs']:,} specs are kept"
        what, ratio = "memory of a worker, 1,000 models", (many / few,) * 3
        yield Row(what, MODELS, "200 models", many, few, "B", ratio, 1.1, True, note)
