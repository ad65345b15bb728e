KINDS: tuple[str, str, str]
DEFERS: dict[str, int]

class IndexSet:
    def __init__(self, count: int) -> None: ...

class Graph: ...
