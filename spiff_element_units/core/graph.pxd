"""C declarations of graph, for the modules above it."""

from libc.stdint cimport uint32_t

from .lookup cimport Lookup

cdef enum Defer:
    DEFER_CALLS = 0
    DEFER_ALL = 1
    DEFER_NOTHING = 2


cdef class IndexSet:
    """A set of process indexes, in the order in which they were added."""
    cdef uint32_t* items
    cdef uint32_t size
    cdef uint32_t capacity
    cdef uint32_t count
    cdef unsigned char* marks
    cdef bint has(self, uint32_t index) noexcept
    cdef int add(self, uint32_t index) except -1


cdef class Graph(Lookup):
    cdef int own(self, uint32_t index, bytes element, IndexSet members) except -1
    cdef bint start(self, IndexSet members, uint32_t root) except -1
    cdef bint close(self, IndexSet members, uint32_t root, int defer, bint specs) except -1
    cdef int spread(self, IndexSet members, uint32_t position, IndexSet within) except -1
    cdef int gather(self, IndexSet members, uint32_t position, IndexSet within) except -1
    cdef IndexSet paths(self, uint32_t start, bytes element)
    cdef bint refers(self, IndexSet members, uint32_t target) except -1
