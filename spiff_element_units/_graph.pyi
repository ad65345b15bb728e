from collections.abc import Iterable, Sequence
from typing import Optional

KINDS: tuple[str, str, str]
DEFERS: dict[str, int]

class Process:
    elements: dict[str, Optional[list[str]]]
    references: list[tuple[int, str, str]]

class IndexSet:
    def __init__(self, count: int) -> None: ...

class Graph: ...

def describe(value: object) -> str: ...
def read_process(spec: object, where: str) -> Process: ...
def embedding_order(children: Sequence[Iterable[int]]) -> list[tuple[int, int]]: ...
