from ._slicer import Slices

class Ids:
    def __init__(self, digest: bytes, kind: int) -> None: ...

class Model:
    def __init__(self, slices: Slices, digest: bytes) -> None: ...
