from typing import Optional

class Member:
    key: str
    members: Optional[list[Member]]
    start: int
    end: int
    key_at: int
    key_end: int
    at: int
    until: int

class Slices:
    members: list[Member]
    text: memoryview
    compact: bytes

def slice_workflow(text: bytes) -> Slices: ...
