"""C declarations of parts, for the modules above it."""

from libc.stdint cimport uint32_t, uint64_t


cdef class Parts:
    cdef object read
    cdef bytes head         # the first bytes of the file, or the whole of a pack in memory
    cdef bint whole         # the head is the whole pack, and known to be good
    cdef dict kept          # offset -> a part that was read and checked
    cdef uint64_t size
    cdef uint64_t held      # bytes of the parts that are kept
    cdef uint64_t body
    cdef uint64_t k0, k1
    cdef uint32_t count     # of processes
    cdef uint32_t root
    cdef uint32_t process_buckets, element_buckets
    cdef uint64_t tail_length, roster_length, lists_length
    cdef uint64_t process_directory, table, element_directory, roster, lists, processes
    cdef readonly str where
    cdef readonly str key
    cdef readonly bytes digest

    cdef int read_header(self) except -1
    cdef bytes fetch(self, uint64_t offset, uint64_t length)
    cdef int good(self, uint64_t offset, bytes data) except -1
    cdef object keep(self, dict parts, object key, bytes data)
    cdef const unsigned char* part(self, uint64_t offset, uint64_t length) except NULL
