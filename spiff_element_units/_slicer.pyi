from typing import Optional, Union

class Text:
    def __init__(self, text: Union[str, bytes]) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

class Member:
    key: str
    members: Optional[list[Member]]
    key_at: int
    key_end: int
    at: int
    until: int

class Slices:
    members: list[Member]
    text: Text
    compact: memoryview

def slice_workflow(text: Text) -> Slices: ...
