"""The texts of pieces as bytes, compressed or not. The first byte tells which it is."""

from __future__ import annotations

import zlib
from typing import Union

LEVEL = 1  # `make bench-sql` shows what others give
_ZLIB = b"\x78"


def packed(text: str, compress: bool) -> bytes:
    """A piece as it is stored."""
    content = text.encode("utf-8", "surrogatepass")
    return zlib.compress(content, LEVEL) if compress else content


def unpacked(stored: Union[bytes, memoryview]) -> Union[str, bytes]:
    """The text of a stored piece. If it is damaged, it is no longer the text of a piece."""
    content = bytes(stored)
    try:
        if content[:1] == _ZLIB:
            content = zlib.decompress(content)
        return content.decode("utf-8", "surrogatepass")
    except (zlib.error, UnicodeDecodeError):
        return content
