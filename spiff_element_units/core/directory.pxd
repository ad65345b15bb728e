"""C declarations of directory, for the modules above it."""

from libc.stdint cimport uint32_t, uint64_t

from .body cimport Body


cdef struct Entry:
    uint64_t hashed
    uint32_t first, last    # of its owners, plus 1
    uint32_t count


cdef struct Owner:
    uint32_t index
    uint32_t next           # plus 1; 0: none


cdef class Directory:
    cdef Entry* entries     # of each hash, in the order in which they came
    cdef uint32_t entry_count, entry_room
    cdef Owner* owners
    cdef uint32_t owner_count, owner_room
    cdef uint32_t* slots    # numbers of entries, plus 1
    cdef uint64_t slot_count
    cdef uint64_t buckets, lists_length
    cdef int expect(self, uint64_t most) except -1
    cdef int add(self, uint64_t hashed, uint32_t index) except -1
    cdef void measure(self) noexcept
    cdef int write(self, Body* body, Body* lists) except -1
