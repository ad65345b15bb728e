"""From measurements to the table: every number that must be reached, and whether it is.

Nothing fails here. The table says which numbers are not reached.
"""

from __future__ import annotations

from statistics import median
from typing import Optional

import history_rows
import many_rows
from measured import MICRO, RIVAL, Ask, Results, Row, faster, grows, of_times, spread, within


def asked(largest: str) -> list[Ask]:
    """All rows that are made of two times."""
    return [
        faster("cache", "200", "ours", RIVAL, 2),
        within("cache", "200", "ours", "loads", 1.3),
        within("cache", "200", "ours", "write"),
        faster("cache", "1500", "ours", RIVAL, 4),
        faster("cache again", "200", "ours", RIVAL, 12),
        faster("get start", "36", "ours", RIVAL, 200),
        within("get start", "36", "ours", "read", 3),
        faster("get deep", "36", "ours", RIVAL, 100),
        within("get deep", "36", "ours", "read"),
        grows("get, same unit", "get leaf", "ours", "36", largest, 1.3),
        faster("start, cold", "200", "cold", "json", 80, "start"),
        faster("start, cold", "200", "cold", "orjson", None, "start"),
        faster("start, cold", "200", "cold", "pickle", None, "start"),
        within("start, cold", "200", "cold", "root", None, "start"),
        faster("start with the root spec alone", "200", "root", "json", None, "start"),
        within("start, warm", "200", "warm", "engine", 1.3, "start"),
        faster("resume, cold", "200", "cold", "json", 80, "resume"),
        faster("resume, warm", "200", "warm", "json", 80, "resume"),
        faster("resume, cold", "200", "cold", "orjson", None, "resume"),
        faster("resume, cold", "200", "cold", "pickle", None, "resume"),
        within("resume, warm", "200", "warm", "engine", None, "resume"),
        faster("resume 3 levels deep, cold", "200", "cold", "json", None, "resume deep"),
        faster("resume 3 levels deep, warm", "200", "warm", "json", None, "resume deep"),
        faster("save", "200", "ours", "json", 20),
        faster("save", "200", "ours", "orjson"),
        faster("save", "200", "ours", "pickle"),
        faster("save 3 levels deep", "200", "ours", "json", None, "save deep"),
        faster("start, cold", "36", "cold", "json", 10, "start"),
        within("start, warm", "36", "warm", "engine", 1.5, "start"),
        faster("resume, cold", "36", "cold", "json", 10, "resume"),
        faster("save", "36", "ours", "json", 5),
        grows("start, cold", "start", "cold", "36", "200", 1.3),
        grows("resume, cold", "resume", "cold", "36", "200", 1.3),
        faster("cache, calls one level deep", "36 flat", "ours", RIVAL, None, "cache"),
        faster("get start, calls one level deep", "36 flat", "ours", RIVAL, None, "get start"),
        faster("get deep, calls one level deep", "36 flat", "ours", RIVAL, None, "get deep"),
    ]


def rows(results: Results) -> list[Row]:
    """The rows of the table that were measured."""
    sizes = [int(name.split(" | ")[1]) for name in results.times if name.startswith("get leaf")]
    largest = str(max(sizes, default=0))
    made = [of_times(results, ask) for ask in [*asked(largest), *_given(results)]]
    made += [
        *_copying(results),
        _of_probes(results, "peak memory of caching", ("caching", "200"), None),
        _of_probes(results, "peak memory of caching", ("caching", "1500"), 1 / 3),
        *_reading(results, largest),
        *_states(results),
        _importing(results),
        *history_rows.rows(results),
        *many_rows.rows(results),
    ]
    return [row for row in made if row is not None]


def _given(results: Results) -> list[Ask]:
    """Rows for the spec JSON files that were given."""
    found = []
    for name in results.times:
        case, workflow, subject = name.split(" | ")
        generated = workflow.isdigit() or workflow == "36 flat"
        if not generated and subject == "ours":
            found.append(faster(case, workflow, "ours", RIVAL))
            found.append(within(case, workflow, "ours", "loads" if case == "cache" else "read"))
    return found


def _copying(results: Results) -> list[Row]:
    """`ElementUnits.workflow()` against copying the unit's bytes, 1.5 times, plus 5 us."""
    made = []
    for case, what in (("workflow()", "workflow()"), ("workflow() leaf", "workflow(), 1 process")):
        ours, copies = results.rounds(case, "36", "ours"), results.rounds(case, "36", "copy")
        if ours and copies:
            allowed = [1.5 * copy + 5 * MICRO for copy in copies]
            ratios = [a / b for a, b in zip(ours, allowed)]
            against = "1.5 copies + 5 us"
            values = median(ours), median(allowed)
            made.append(Row(what, "36", against, *values, "s", spread(ratios), 1, True))
    return made


def _of_probes(
    results: Results, what: str, case: tuple[str, str], bound: Optional[float]
) -> Optional[Row]:
    ours = results.probed(*case, "ours", "above input")
    other = results.probed(*case, RIVAL, "above input")
    if not ours or not other:
        return None
    ratios = [a / b for a, b in zip(ours, other)]
    text = results.probed(*case, "ours", "text")[0]
    note = f"{median(ours) / text:.1f} and {median(other) / text:.1f} times the text"
    values = median(ours), median(other)
    return Row(what, case[1], RIVAL, *values, "B", spread(ratios), bound, True, note)


def _reading(results: Results, largest: str) -> list[Row]:
    made = []
    for key, bound in (("leaf", 1.3), ("start", None), ("deep", None)):
        small = results.probed("reading", "36", "ours", key)
        large = results.probed("reading", largest, "ours", key)
        if small and large:
            ratio = large[0]["bytes"] / small[0]["bytes"]
            values = large[0]["bytes"], small[0]["bytes"]
            note = (
                f"{small[0]['reads']} and {large[0]['reads']} reads for units of "
                f"{small[0]['unit']:,} and {large[0]['unit']:,} bytes"
            )
            what = "bytes read by a get" + (", same unit" if key == "leaf" else f", {key}")
            on = f"36 -> {largest}"
            made.append(Row(what, on, "itself", *values, "B", (ratio,) * 3, bound, True, note))
    return made


def _states(results: Results) -> list[Row]:
    made = []
    for size, key, bound in (("200", "", 0.01), ("200", " deep", None), ("36", "", 0.05)):
        ours = results.probed("sizes", size, "ours", f"state{key}")
        full = results.probed("sizes", size, "ours", f"full{key}")
        if ours:
            ratio = (ours[0] / full[0],) * 3
            what = "saved state" + (" 3 levels deep" if key else "")
            made.append(Row(what, size, "json", ours[0], full[0], "B", ratio, bound, True))
    return made


def _importing(results: Results) -> Optional[Row]:
    """The import against that of orjson plus 25 ms."""
    ours = results.probed("importing", "36", "spiff_element_units", "seconds")
    base = results.probed("importing", "36", "orjson", "seconds")
    if not ours:
        return None
    ratios = [a / (b + 0.025) for a, b in zip(ours, base)]
    loads = any(results.probed("importing", "36", "spiff_element_units", "SpiffWorkflow"))
    note = (
        f"{1e3 * median(a - b for a, b in zip(ours, base)):.0f} ms above orjson; SpiffWorkflow is "
        f"{'' if loads else 'not '}imported"
    )
    values = median(ours), median(base) + 0.025
    return Row("import", "", "orjson + 25 ms", *values, "s", spread(ratios), 1, True, note)


# As text


def amount(value: float, unit: str) -> str:
    """Seconds or bytes, to three digits."""
    steps = (
        ((1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
        if unit == "s"
        else ((1e6, "MB"), (1e3, "kB"), (1, "B"))
    )
    size, name = next((step for step in steps if value >= step[0]), steps[-1])
    return f"{digits(value / size)} {name}"


def digits(value: float) -> str:
    """A number to three digits, or two if it is less than 1."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 1 else f"{value:.2g}"


def cells(row: Row) -> list[str]:
    """A row as the texts of its columns."""
    low, middle, high = map(digits, row.ratio)
    must = "" if row.bound is None else f"{'≤' if row.most else '≥'} {digits(row.bound)}"
    reached = {None: "", True: "yes", False: "no"}[row.reached]
    ours, other = amount(row.ours, row.unit), amount(row.other, row.unit)
    spread_of = "" if low == high else f" ({low} - {high})"
    return [
        row.what,
        row.on,
        ours,
        f"{other} {LABELS.get(row.against, row.against)}",
        f"{middle}{spread_of}",
        must,
        reached,
    ]


def headings(on: str) -> tuple[str, ...]:
    """The names of the columns; `on` says what is counted in the second."""
    return "what", on, "ours", "against", "ratio (quartiles)", "must be", "reached"


LABELS = {
    "loads": "`orjson.loads`",
    "write": "writing the same bytes",
    "read": "reading a file with the unit",
    "engine": "engine alone",
    "root": "the root spec alone",
    "json": "`json`, full text",
    "orjson": "`orjson`, full text",
    "pickle": "pickled specs",
    "itself": "",
}


def markdown(results: Results, about: dict[str, str], on: str) -> str:
    """The table in Markdown, with the environment and other measures below it."""
    lines = [f"| {' | '.join(headings(on))} |", "| --- | --- | --- | --- | --- | --- | --- |"]
    lines += [f"| {' | '.join(cells(row))} |" for row in rows(results)]
    lines += ["", f"Measured with {measured_with(about)}.", *_beside(results), ""]
    return "\n".join(lines)


def text(results: Results, about: dict[str, str], on: str) -> str:
    """The table for a terminal."""
    table = [list(headings(on)), *(cells(row) for row in rows(results))]
    table = [[cell.replace("`", "") for cell in line] for line in table]
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in table]
    missed = [row for row in rows(results) if row.reached is False]
    lines += ["", measured_with(about), *_beside(results), f"{len(missed)} missed"]
    lines += [f"failed: {name}: {why}" for name, why in results.failures.items()]
    return "\n".join(lines)


def measured_with(about: dict[str, str]) -> str:
    """The environment on one line."""
    plain = ("cpu", "system", "python", "peer", "date")
    named = [about[key] for key in plain if key in about and key != "date"]
    return ", ".join([*named, *(f"{k} {v}" for k, v in about.items() if k not in plain)])


def _beside(results: Results) -> list[str]:
    """Measures that are not compared with anything."""
    found = [f"{row.what} ({row.on}): {row.note}." for row in rows(results) if row.note]
    for name, probes in results.probes.items():
        probe, size, _ = name.split(" | ")
        if probe == "opened":
            each, file = median(p["each"] for p in probes), probes[0]["file"]
            found.append(
                f"An open ElementUnits over a pack of {size} processes ({amount(file, 'B')}) takes "
                f"{amount(each, 'B')}."
            )
        if probe == "loader":
            grown, blocks = probes[0]["grown"], probes[0]["blocks"]
            found.append(
                f"In {probes[0]['starts']:,} starts with a loader of {size} processes Python's "
                f"objects grew by {max(0, blocks)} blocks of memory, and the process by "
                f"{amount(max(0, grown), 'B')} from {amount(probes[0]['resident'], 'B')}."
            )
    return found
