"""C declarations of lookup, for the modules above it."""

from libc.stdint cimport uint32_t, uint64_t

from .records cimport Record, Records


cdef class Lookup(Records):
    cdef const unsigned char* element(self, Record record, bytes name) except? NULL
    cdef list candidates(self, uint64_t directory, bytes name, uint32_t most)
    cdef list indexes(self, uint64_t offset, uint32_t count)
    cdef uint32_t find(self, str process_id) except? 0xFFFFFFFFu
    cdef uint32_t look_up(self, str process_id) except? 0xFFFFFFFEu
    cdef bint owns(self, uint32_t index, bytes element) except -1
