"""C declarations of ids, for the modules above it."""

from libc.stdint cimport uint32_t, uint64_t


cdef struct Id:
    # UTF-8. The memory belongs to the text or the list that the id comes from.
    const unsigned char* data
    uint32_t length


cdef struct Node:
    Id id
    uint64_t hashed
    uint32_t slot
    uint32_t value      # for the user of the table


cdef class Ids:
    """A hash table of ids. They have numbers from 0, in the order in which they were added."""
    cdef Node* nodes
    cdef uint32_t count, capacity
    cdef uint32_t* slots    # numbers plus 1
    cdef uint32_t slot_count
    cdef uint64_t k0, k1, kind
    cdef uint32_t find(self, Id id) noexcept
    cdef uint32_t add(self, Id id) except? 0xFFFFFFFFu
    cdef int grow(self) except -1
    cdef void clear(self) noexcept
