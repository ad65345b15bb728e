"""The reference graph as mermaid and as Graphviz's dot.

Ids are untrusted. They appear only inside labels, escaped for the language.
"""

from __future__ import annotations

from typing import NamedTuple

from ._facts import Facts, fold
from ._output import count, human_size, shown


class Node(NamedTuple):
    """A process, or several processes that are folded into one node.

    `lines` are the lines of its label, `scale` is its size from 0 to 1, and `look` is "root",
    "plain", "external" or "folded". `held` says if it is in the unit that is coloured.
    """

    lines: tuple[str, ...]
    scale: float
    look: str
    held: bool


class Edge(NamedTuple):
    """References from one node to another, by number, of one kind ("folded": any), with a label."""

    source: int
    target: int
    kind: str
    label: str


class Drawing(NamedTuple):
    """The nodes and edges of a drawing."""

    nodes: list[Node]
    edges: list[Edge]


def draw(facts: Facts, held: frozenset[str], limit: int) -> Drawing:
    """The graph of a workflow, folded to about `limit` references; 0 means no limit."""
    folded = fold(facts, facts.tops, limit)
    nodes: list[Node] = []
    edges: list[Edge] = []
    numbers: dict[str, int] = {}
    largest = max(facts.sizes.values())

    def add(node: Node) -> int:
        nodes.append(node)
        return len(nodes) - 1

    def number(process_id: str, external: bool) -> int:
        found = numbers.get(process_id)
        if found is None:
            size = facts.sizes.get(process_id, 0)
            lines: tuple[str, ...] = (
                shown(process_id),
                "external" if external else human_size(size),
            )
            if process_id in facts.origins:
                lines += (f"from {shown(facts.origins[process_id])}",)
            look = "external" if external else "root" if process_id == facts.root else "plain"
            node = Node(lines, (size / largest) ** 0.5, look, process_id in held)
            found = numbers[process_id] = add(node)
        return found

    for top in folded.tops:
        if top in folded.links or top in folded.hidden:
            number(top, False)
    for process_id, links in folded.links.items():
        for link in links:
            target = number(link.process_id, link.external)
            edges.append(Edge(number(process_id, False), target, link.kind, _label(link.elements)))
    for process_id, hidden in folded.hidden.items():
        size = sum(facts.sizes[one] for one in hidden)
        lines = (count(len(hidden), "more process"), human_size(size))
        rest = add(Node(lines, 0.3, "folded", not held.isdisjoint(hidden)))
        edges.append(Edge(number(process_id, False), rest, "folded", ""))
    return Drawing(nodes, edges)


def _label(elements: tuple[str, ...]) -> str:
    first, *others = elements
    return shown(first) + (f" and {len(others)} more" if others else "")


# Mermaid


_MERMAID_EDGES = {"call": "-->", "embedded": "-.->", "trigger": "==>", "folded": "---"}
_SIZES = (12, 15, 18, 22, 27)  # of letters, in pixels
_CLASSES = {
    "plainProcess": "fill:#fff,stroke:#5b6b7b,color:#1c2733",
    "rootProcess": "fill:#fff,stroke:#1c2733,stroke-width:3px,color:#1c2733",
    "externalProcess": "fill:#f4f4f4,stroke:#999,stroke-dasharray:4 3,color:#666",
    "foldedProcess": "fill:#f4f4f4,stroke:#bbb,color:#666",
    **{f"size{at}": f"font-size:{size}px" for at, size in enumerate(_SIZES)},
    "inUnit": "fill:#ffe3a3,stroke:#b26a00,color:#1c2733",
}


def mermaid(drawing: Drawing) -> str:
    """A mermaid flowchart. Larger letters are larger processes."""
    lines = ["flowchart LR", "  %% --> calls, -.-> embeds, ==> triggers"]
    members: dict[str, list[str]] = {name: [] for name in _CLASSES}
    for number, node in enumerate(drawing.nodes):
        text = "<br/>".join(map(_mermaid_text, node.lines))
        shape = {"folded": '("{}")', "external": '>"{}"]'}.get(node.look, '["{}"]')
        lines.append(f"  p{number}{shape.format(text)}")
        size = min(int(node.scale * len(_SIZES)), len(_SIZES) - 1)
        for name in (f"{node.look}Process", f"size{size}", *["inUnit"] * node.held):
            members[name].append(f"p{number}")
    for edge in drawing.edges:
        label = f'|"{_mermaid_text(edge.label)}"|' if edge.label else ""
        lines.append(f"  p{edge.source} {_MERMAID_EDGES[edge.kind]}{label} p{edge.target}")
    for name, style in _CLASSES.items():
        if members[name]:
            lines.append(f"  classDef {name} {style}")
            lines.append(f"  class {','.join(members[name])} {name}")
    return "\n".join(lines) + "\n"


def _mermaid_text(text: str) -> str:
    """A text inside quotes: all characters except letters and digits become numbered entities."""
    return "".join(one if one.isalnum() or one in " _" else f"#{ord(one)};" for one in text)


# Graphviz


_DOT_EDGES = {
    "call": 'color="#5b6b7b"',
    "embedded": 'color="#1f6feb" style=dashed arrowhead=diamond',
    "trigger": 'color="#b26a00" style=dotted arrowhead=vee',
    "folded": 'color="#bbbbbb" arrowhead=none',
}
_DOT_LOOKS = {
    "plain": 'color="#5b6b7b" fillcolor="#ffffff"',
    "root": 'color="#1c2733" fillcolor="#ffffff" penwidth=2.5',
    "external": 'color="#999999" fillcolor="#f4f4f4" fontcolor="#666666" style="rounded,dashed"',
    "folded": 'color="#bbbbbb" fillcolor="#f4f4f4" fontcolor="#666666" shape=note',
}
_HELD = 'fillcolor="#ffe3a3" color="#b26a00"'


def dot(drawing: Drawing) -> str:
    """A graph for Graphviz. Larger boxes are larger processes."""
    lines = [
        "digraph workflow {",
        '  graph [rankdir=LR ranksep=0.9 nodesep=0.2 fontname="Helvetica,Arial,sans-serif"]',
        '  node [shape=box style="rounded,filled" fontname="Helvetica,Arial,sans-serif"]',
        '  edge [fontname="Helvetica,Arial,sans-serif" fontsize=9 fontcolor="#5b6b7b"]',
        f"  // calls: {_DOT_EDGES['call']}; embeds: {_DOT_EDGES['embedded']}",
    ]
    for number, node in enumerate(drawing.nodes):
        look = f"{_DOT_LOOKS[node.look]}{' ' + _HELD if node.held else ''}"
        size = 10 + 14 * node.scale
        label = "\\n".join(map(_dot_text, node.lines))
        height = 0.4 + 0.9 * node.scale
        lines.append(
            f'  p{number} [label="{label}" fontsize={size:.1f} height={height:.2f} {look}]'
        )
    for edge in drawing.edges:
        label = _dot_text(edge.label)
        lines.append(
            f'  p{edge.source} -> p{edge.target} [label="{label}" {_DOT_EDGES[edge.kind]}]'
        )
    return "\n".join([*lines, "}"]) + "\n"


def _dot_text(text: str) -> str:
    """A text inside quotes, where Graphviz reads entities."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
