from .text import Text

MAGIC: bytes
PACK_FORMAT: int

def build_pack(text: Text, digest: bytes) -> bytes: ...
def pack_header(
    key: str,
    digest: bytes,
    body: int,
    count: int,
    root: int,
    process_buckets: int,
    element_buckets: int,
    tail: int,
    roster: int,
    lists: int,
) -> bytes: ...
