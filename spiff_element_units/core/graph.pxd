"""C declarations of graph, for the modules above it."""

from libc.stdint cimport uint32_t

cdef enum Defer:
    DEFER_CALLS = 0
    DEFER_ALL = 1
    DEFER_NOTHING = 2


cdef class IndexSet:
    """Process indexes, each once, in the order in which they came."""
    cdef uint32_t* items
    cdef uint32_t size
    cdef uint32_t capacity
    cdef uint32_t count
    cdef unsigned char* marks
    cdef bint has(self, uint32_t index) noexcept
    cdef int add(self, uint32_t index) except -1


cdef class Graph:
    """Processes by index, and the walks over their references."""
    cdef uint32_t count
    cdef const unsigned char* links(self, uint32_t index, uint32_t* count) except? NULL
    cdef const unsigned char* callers(self, uint32_t index, uint32_t* count) except? NULL
    cdef bint owns(self, uint32_t index, bytes element) except -1
    cdef int prepare(self, uint32_t index, bint run) except -1
    cdef bint close(self, IndexSet members, uint32_t root, int defer, bint specs) except -1
    cdef int spread(self, IndexSet members, uint32_t position, IndexSet within) except -1
    cdef int gather(self, IndexSet members, uint32_t position, IndexSet within) except -1
    cdef list may_own(self, bytes element, uint32_t most)
    cdef IndexSet paths(self, uint32_t start, bytes element)
    cdef bint refers(self, IndexSet members, uint32_t target) except -1
