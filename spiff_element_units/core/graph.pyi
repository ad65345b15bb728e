from .lookup import Lookup

KINDS: tuple[str, str, str]
DEFERS: dict[str, int]

class IndexSet:
    def __new__(cls, count: int) -> IndexSet: ...

class Graph(Lookup): ...
