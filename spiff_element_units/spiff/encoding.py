"""Writes JSON with the application's encoder, and all that is plain with compiled code.

What is written is what `json.dumps` writes with that encoder, character by character. An encoder
that overrides more than `default` is used as it is.
"""

from __future__ import annotations

import json
from typing import Any, Optional

from ..core.encoder import encode

EncoderClass = Optional[type[json.JSONEncoder]]  # None: what `json.dumps` uses by default


def dumps(value: Any, encoder: EncoderClass) -> str:
    """What `json.dumps(value, cls=encoder)` returns. Raises its errors."""
    if _overrides_default_alone(encoder):
        try:
            return encode(value, (encoder or json.JSONEncoder)().encode)
        except Exception:  # for example a value that contains itself; `json` explains it
            pass
    return json.dumps(value, cls=encoder)


def faster(encoder: EncoderClass) -> EncoderClass:
    """An encoder class with which `json.dumps` writes the same as with the given one."""
    if not _overrides_default_alone(encoder):
        return encoder
    base: Any = encoder or json.JSONEncoder

    class Encoder(base):  # type: ignore[misc]
        def encode(self, o: Any) -> Any:
            try:
                return encode(o, super().encode)
            except Exception:  # as in `dumps`
                return super().encode(o)

    return Encoder


def _overrides_default_alone(encoder: EncoderClass) -> bool:
    base = encoder or json.JSONEncoder
    names = ("__init__", "encode", "iterencode", "item_separator", "key_separator")
    return all(getattr(base, name) is getattr(json.JSONEncoder, name) for name in names)
