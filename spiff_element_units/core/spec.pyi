from .model import Model

class Spec:
    def __new__(cls, model: Model, digest: bytes) -> Spec: ...
