"""Checks every part of a pack. Reading a pack checks only what it reads."""

from libc.stdint cimport uint32_t, uint64_t

from .layout cimport (
    BUCKET, CHECKSUM, CHUNK, CHUNK_ENTRIES, SLOT, SLOTS, checksum, load32, load64, xxh64,
)
from .pack cimport Pack
from .records cimport Entry

from .fault import Fault


def check(Pack pack not None):
    """Check every part. Raises a Fault for the first one that is damaged."""
    checked(pack)


def body_bytes(Pack pack not None):
    """The body, after every part of it was checked."""
    cdef Pack good = pack if pack.whole else checked(pack)
    return memoryview(good.head)[good.body:]


def xxh64_of(const unsigned char[::1] data not None, uint64_t seed):
    """The XXH64 of some bytes."""
    return xxh64(seed, &data[0] if data.shape[0] else NULL, data.shape[0])


cdef Pack checked(Pack pack):
    """The whole pack in memory, after every part of it was checked."""
    cdef Pack whole = pack
    cdef Entry entry
    cdef list lists = []
    cdef uint64_t at
    cdef uint32_t index
    if not pack.whole:
        whole = Pack.in_memory(pack.read(0, pack.size))
        whole.where = pack.where
    at = verify(whole, 0, pack.tail_length)
    for _ in range(pack.process_buckets):
        at = verify_bucket(whole, at, lists)
    for _ in range((pack.count + CHUNK_ENTRIES - 1) // CHUNK_ENTRIES):
        at = verify(whole, at, CHUNK)
    for _ in range(pack.element_buckets):
        at = verify_bucket(whole, at, lists)
    at = verify(whole, at, pack.roster_length)
    for start, length in sorted(lists):
        if start != at:
            raise Fault("lists", pack=pack.where)
        at = verify(whole, at, length)
    for index in range(pack.count):
        whole.entry(index, &entry)
        if entry.offset != at:
            raise Fault("place", pack=pack.where, index=index)
        at = verify(whole, at, entry.record_length)
        at = verify(whole, at, entry.spec_length)
    if at != pack.size - pack.body:
        raise Fault("end", pack=pack.where)
    return whole


cdef uint64_t verify(Pack pack, uint64_t offset, uint64_t length) except 0:
    """Check the part at an offset of a whole pack. Returns where the next part starts."""
    cdef const unsigned char* start = pack.part(offset, length)
    if checksum(pack.k0, offset, start, length) != load64(start + length):
        raise Fault("checksum", pack=pack.where, byte=pack.body + offset)
    return offset + length + CHECKSUM


cdef uint64_t verify_bucket(Pack pack, uint64_t offset, list lists) except 0:
    """Check a bucket in the same way, and add the places of its lists to `lists`."""
    cdef uint64_t end = verify(pack, offset, BUCKET)
    cdef const unsigned char* at = pack.part(offset, BUCKET)
    cdef uint32_t count
    for _ in range(SLOTS):
        count = load32(at + 16)
        if count > 1:
            lists.append((load64(at + 8), 4 * <uint64_t>count))
        at += SLOT
    return end
