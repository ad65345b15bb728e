MAGIC: bytes

def build_pack(text: bytes) -> tuple[bytes, bytes]: ...
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
