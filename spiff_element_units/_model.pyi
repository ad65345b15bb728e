from ._slicer import Slices

class Ids:
    def __new__(cls, digest: bytes, kind: int) -> Ids: ...

class Model:
    def __new__(cls, slices: Slices, digest: bytes) -> Model: ...
