"""The bytes of a pack while they are written: parts, each followed by its checksum.

A `Body` is a place in memory with enough room behind it. The memory belongs to the caller.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from .layout cimport checksum, store32, store64


cdef struct Body:
    unsigned char* start
    unsigned char* at
    unsigned char* part     # the start of the part that is being written
    uint64_t k0             # of the pack's digest


cdef inline Body body_at(unsigned char* start, uint64_t offset, uint64_t k0) noexcept nogil:
    """Continue at an offset with a new part."""
    return Body(start, start + offset, start + offset, k0)


cdef inline void put32(Body* body, uint32_t value) noexcept nogil:
    store32(body.at, value)
    body.at += 4


cdef inline void put64(Body* body, uint64_t value) noexcept nogil:
    store64(body.at, value)
    body.at += 8


cdef inline void put(Body* body, const void* data, size_t length) noexcept nogil:
    memcpy(body.at, data, length)
    body.at += length


cdef inline void seal(Body* body) noexcept nogil:
    """End the part with its checksum. The next part starts behind it."""
    put64(body, checksum(body.k0, body.part - body.start, body.part, body.at - body.part))
    body.part = body.at
