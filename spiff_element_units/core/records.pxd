"""C declarations of records, for the modules above it."""

from libc.stdint cimport uint32_t, uint64_t

from .parts cimport Parts


cdef struct Entry:
    uint64_t offset
    uint64_t spec_length
    uint32_t record_length
    uint32_t run
    uint32_t rank
    uint32_t flags


cdef class Record:
    """What a pack says about a process, with its entry in the table."""
    cdef bytes part         # keeps the record of a file alive
    cdef Entry entry
    cdef uint32_t id_length
    cdef uint32_t key_length
    cdef uint32_t link_count
    cdef uint32_t caller_count
    cdef uint32_t element_count
    cdef uint32_t target_count
    cdef const unsigned char* links
    cdef const unsigned char* callers
    cdef const unsigned char* link_names
    cdef const unsigned char* elements
    cdef const unsigned char* targets
    cdef const unsigned char* heap
    cdef uint64_t heap_length
    cdef bint is_id(self, bytes name) noexcept


cdef class Records(Parts):
    cdef dict records       # index -> Record
    cdef dict specs         # index -> the part with the spec, if the pack is in a file

    cdef int entry(self, uint32_t index, Entry* out) except -1
    cdef Record record(self, uint32_t index)
    cdef Record read_record(self, uint32_t index, Entry* entry, bytes part)
    cdef int prepare(self, uint32_t index, bint run) except -1
    cdef int keep_spec(self, uint32_t index, Entry* entry, bytes part) except -1
    cdef const unsigned char* spec(self, uint32_t index, Record record) except NULL
    cdef str text(self, const unsigned char* data, uint64_t length)
    cdef const unsigned char* string(
        self, Record record, const unsigned char* place, uint32_t* length) except NULL
    cdef const unsigned char* links(self, uint32_t index, uint32_t* count) except? NULL
    cdef const unsigned char* callers(self, uint32_t index, uint32_t* count) except? NULL
