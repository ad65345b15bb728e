"""How the command prints: tables in a terminal, plain columns in a pipe, JSON with `--json`.

In a terminal, sizes are rounded and headers are bold. `NO_COLOR` turns colours off. In a pipe there
are no boxes and no colours, ids are complete, and sizes are in bytes. Control characters in an id
are shown as escapes, because a terminal would execute them. JSON output contains the exact ids.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

_GAP = 3  # between two columns of a table
_LEAST = 16  # the width to which a first column is cut


class Column(NamedTuple):
    """A column of a table: its header, if it contains numbers, and how a terminal shows it.

    If a terminal is too narrow, columns with a `rank` are removed, the highest rank first. A
    column that is `whole` is cut, but to no less than `least` before it is removed. Other text is
    wrapped between words.
    """

    header: str
    number: bool = False
    style: str = ""
    rank: int = 0
    whole: bool = False
    least: int = 0


class Output:
    """Prints the result of a command."""

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        self.terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"

    def json(self, value: Any) -> None:
        """Print a value as JSON, in ASCII."""
        print(json.dumps(value, indent=2))

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line."""
        if self.terminal:
            self._print(text, style)
        else:
            print(text)

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
        """Print rows under headers; nothing if there are no rows."""
        rows = list(rows)
        if not rows:
            return
        if self.terminal:
            self._print(_fancy(columns, rows, self._console().width))
        else:
            print("\n".join(_plain(columns, rows)))

    def size(self, size: int) -> str:
        """A number of bytes, in a table."""
        return human_size(size) if self.terminal else str(size)

    def bytes(self, size: int) -> str:
        """A number of bytes, in a sentence."""
        return human_size(size) if self.terminal else f"{size} bytes"

    def _print(self, thing: Any, style: str = "") -> None:
        from rich.text import Text

        self._console().print(Text(thing, style) if isinstance(thing, str) else thing)

    def _console(self) -> Any:
        from rich.console import Console  # not for pipes

        console = Console(highlight=False, emoji=False)
        if console.width < 1:  # COLUMNS=0 means that nobody knows
            console.width = 80
        return console


def _fancy(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    widths = _widths(columns, rows, width)
    for place, wide in widths.items():
        column = columns[place]
        cut = column.number or column.whole
        justify: Any = "right" if column.number else "left"
        overflow: Any = "ellipsis" if cut else "fold"
        table.add_column(
            Text(column.header),
            justify=justify,
            style=column.style,
            width=wide,
            no_wrap=cut,
            overflow=overflow,
        )
    for row in rows:
        table.add_row(
            *(
                Text(_cut(row[place], wide) if columns[place].least else row[place])
                for place, wide in widths.items()
            )
        )
    return table


def _cut(text: str, width: int) -> str:
    """A text that fits, cut between words."""
    from rich.cells import cell_len

    words = text.split(" ")
    while len(words) > 1 and cell_len(text) > width:
        words.pop()
        text = f"{' '.join(words)} …"
    return text


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> dict[int, int]:
    """The columns that remain, by their places, and their widths."""
    from rich.cells import cell_len

    cells = [[column.header, *(row[at] for row in rows)] for at, column in enumerate(columns)]
    wide = [max(map(cell_len, some)) for some in cells]
    least = []
    for column, natural, some in zip(columns, wide, cells):
        if column.least:
            least.append(min(natural, column.least))
        elif column.number or column.whole:
            least.append(natural)
        else:
            least.append(max(cell_len(word) for text in some for word in text.split() or [""]))
    places = list(range(len(columns)))
    for place in sorted(places, key=lambda place: -columns[place].rank):
        if not columns[place].rank or sum(least[one] + _GAP for one in places) - _GAP <= width:
            break
        places.remove(place)
    left = width - sum(least[one] + _GAP for one in places) + _GAP
    widths = {}
    for place in places:
        widths[place] = min(wide[place], least[place] + max(left, 0))
        left -= widths[place] - least[place]
    if left < 0:
        widths[places[0]] = max(widths[places[0]] + left, _LEAST)
    return widths


def _plain(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    lines = [[column.header for column in columns], *rows]
    widths = [max(map(len, cells)) for cells in zip(*lines)]
    for line in lines:
        cells = (
            cell.rjust(width) if column.number else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns)
        )
        yield "  ".join(cells).rstrip()


def shown(id: str) -> str:
    """An id for people to read: with escapes, and in quotes if it begins or ends with spaces."""
    text = escaped(id)
    return text if text.strip() == text and text else f"'{text}'"


def escaped(text: str) -> str:
    """A text with escapes for characters that cannot be printed."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def one_line(text: str) -> str:
    """A message on one line."""
    return escaped(" ".join(text.split()))


def human_size(size: int) -> str:
    """A number of bytes, rounded to three digits."""
    number = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            digits = 0 if unit == "B" or number >= 99.95 else 1
            return f"{number:.{digits}f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def percent(part: int, whole: int) -> str:
    """A share in percent, with one digit after the point if it is small."""
    share = 100 * part / whole if whole else 0.0
    if part and share < 0.05:
        return "< 0.1 %"
    return f"{share:.0f} %" if share >= 9.95 else f"{share:.1f} %"


def moment(time: datetime) -> str:
    """A time, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def count(number: int, one: str) -> str:
    """A number and a noun, in the plural if needed."""
    plural = "es" if one.endswith("s") else "s"
    return f"{number:,} {one}{'' if number == 1 else plural}"
