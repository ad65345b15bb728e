from typing import Callable

class Parts:
    where: str
    key: str
    digest: bytes
    def __init__(self, read: Callable[[int, int], bytes], size: int, where: str) -> None: ...
