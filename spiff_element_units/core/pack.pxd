"""C declarations of pack."""

from libc.stdint cimport uint32_t, uint64_t

from .graph cimport Graph, IndexSet


cdef struct Entry:
    uint64_t offset
    uint64_t spec_length
    uint32_t record_length
    uint32_t run
    uint32_t rank
    uint32_t flags


cdef class Record:
    """What a pack says of a process, its entry of the table included."""
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


cdef class Pack(Graph):
    cdef object read
    cdef readonly str where
    cdef bytes head         # the first bytes of the file, or the whole of a pack in memory
    cdef bint whole         # the head is all of it, made here and known to be good
    cdef dict kept          # offset -> a part of a file that was read and found good
    cdef dict records       # index -> Record
    cdef dict roster_keys   # what `subprocess_ids` gives, once it was asked for
    cdef dict specs         # index -> the spec's part, where it comes from a file
    cdef uint64_t size
    cdef uint64_t held      # bytes of the parts that are kept
    cdef uint64_t body
    cdef uint64_t k0, k1
    cdef uint32_t root
    cdef uint32_t process_buckets, element_buckets
    cdef uint64_t tail_length, roster_length, lists_length
    cdef uint64_t process_directory, table, element_directory, roster, lists, processes
    cdef readonly str key
    cdef readonly bytes digest

    cdef int read_header(self) except -1
    cdef bytes fetch(self, uint64_t offset, uint64_t length)
    cdef int good(self, uint64_t offset, bytes data) except -1
    cdef object keep(self, dict parts, object key, bytes data)
    cdef const unsigned char* part(self, uint64_t offset, uint64_t length) except NULL
    cdef int entry(self, uint32_t index, Entry* out) except -1
    cdef Record record(self, uint32_t index)
    cdef int keep_spec(self, uint32_t index, Entry* entry, bytes part) except -1
    cdef Record read_record(self, uint32_t index, Entry* entry, bytes part)
    cdef const unsigned char* spec(self, uint32_t index, Record record) except NULL
    cdef const unsigned char* string(
        self, Record record, const unsigned char* place, uint32_t* length) except NULL
    cdef const unsigned char* element(self, Record record, bytes name) except? NULL
    cdef str text(self, const unsigned char* data, uint64_t length)
    cdef list candidates(self, uint64_t directory, bytes name, uint32_t most)
    cdef list indexes(self, uint64_t offset, uint32_t count)
    cdef uint32_t find(self, str process_id) except? 0xFFFFFFFFu
    cdef uint32_t look_up(self, str process_id) except? 0xFFFFFFFEu
    cdef int own(self, uint32_t index, bytes element, IndexSet members) except -1
    cdef str id_of(self, uint32_t index)
    cdef dict read_roster(self)
    cdef Pack checked(self)
    cdef uint64_t verify(self, uint64_t offset, uint64_t length) except 0
    cdef uint64_t verify_bucket(self, uint64_t offset, list lists) except 0
