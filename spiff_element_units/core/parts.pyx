"""The bytes of a pack -> its header and its checked parts. `pack` describes the format.

A part is checked when it is first read from a file, and then kept. Anything that does not fit is a
Fault.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t

from .layout cimport (
    BUCKET, CHECKSUM, CHUNK, CHUNK_ENTRIES, FORMAT, HEADER, checksum, load32, load64,
)

from .fault import Fault
from .writer import MAGIC

cdef uint64_t FIRST_READ = 4096


cdef class Parts:
    """A pack's header and parts.

    `read(offset, length)` returns up to `length` bytes of a file of `size` bytes. `where` is the
    name of the pack in faults.
    """

    def __init__(self, read, uint64_t size, str where not None):
        self.read = read
        self.where = where
        self.size = size
        self.kept = {}
        self.head = read(0, min(size, FIRST_READ))
        self.read_header()

    cdef int read_header(self) except -1:
        cdef const unsigned char* head
        cdef uint64_t key_length, length, body
        cdef uint64_t got = len(self.head)
        if self.head[:8] != MAGIC:
            raise Fault("magic", pack=self.where)
        head = <const unsigned char*>PyBytes_AS_STRING(self.head)
        if got >= 12 and load32(head + 8) != FORMAT:
            raise Fault("format", pack=self.where, found=load32(head + 8), reads=<int>FORMAT)
        if got < HEADER + CHECKSUM:
            raise Fault("short header", pack=self.where)
        key_length = load32(head + 12)
        length = HEADER + key_length
        if length + CHECKSUM > self.size:
            raise Fault("short header", pack=self.where)
        if length + CHECKSUM > got:
            self.head = self.read(0, length + CHECKSUM)
            if <uint64_t>len(self.head) != length + CHECKSUM:
                raise Fault("short header", pack=self.where)
            head = <const unsigned char*>PyBytes_AS_STRING(self.head)
        if checksum(0, 0, head, length) != load64(head + length):
            raise Fault("header checksum", pack=self.where)
        self.body = length + CHECKSUM
        body = self.size - self.body
        if load64(head + 16) != body:
            raise Fault("size", pack=self.where, size=self.size, length=load64(head + 16))
        self.digest = self.head[24:56]
        self.k0 = load64(head + 24)
        self.k1 = load64(head + 32)
        self.count = load32(head + 56)
        self.root = load32(head + 60)
        self.process_buckets = load32(head + 64)
        self.element_buckets = load32(head + 68)
        self.tail_length = load64(head + 72)
        self.roster_length = load64(head + 80)
        self.lists_length = load64(head + 88)
        try:
            self.key = (<bytes>self.head[HEADER:length]).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise Fault("key", pack=self.where) from error
        if max(self.tail_length, self.roster_length, self.lists_length) > body:
            raise Fault("parts", pack=self.where)
        self.process_directory = self.tail_length + CHECKSUM
        self.table = self.process_directory + <uint64_t>self.process_buckets * (BUCKET + CHECKSUM)
        self.element_directory = self.table + (
            (<uint64_t>self.count + CHUNK_ENTRIES - 1) // CHUNK_ENTRIES * (CHUNK + CHECKSUM))
        self.roster = self.element_directory + (
            <uint64_t>self.element_buckets * (BUCKET + CHECKSUM))
        self.lists = self.roster + self.roster_length + CHECKSUM
        self.processes = self.lists + self.lists_length
        if (self.processes > body or self.root >= self.count or not self.process_buckets
                or not self.element_buckets):
            raise Fault("parts", pack=self.where)
        return 0

    cdef bytes fetch(self, uint64_t offset, uint64_t length):
        """Bytes of the body, without a check. There are fewer at the end of the body."""
        cdef uint64_t at = self.body + offset
        if at + length <= <uint64_t>len(self.head):
            return self.head[at:at + length]
        return self.read(at, length)

    cdef int good(self, uint64_t offset, bytes data) except -1:
        """Check a part with its checksum."""
        cdef const unsigned char* start = <const unsigned char*>PyBytes_AS_STRING(data)
        cdef uint64_t length = PyBytes_GET_SIZE(data)
        if length < CHECKSUM or (checksum(self.k0, offset, start, length - CHECKSUM)
                                 != load64(start + length - CHECKSUM)):
            raise Fault("checksum", pack=self.where, byte=self.body + offset)
        return 0

    cdef object keep(self, dict parts, object key, bytes data):
        """Keep a good part. Returns the part that is kept, which another thread may have read."""
        kept = parts.setdefault(key, data)
        if kept is data:
            self.held += PyBytes_GET_SIZE(data)
            if self.held > self.size:
                raise Fault("overlap", pack=self.where)
        return kept

    cdef const unsigned char* part(self, uint64_t offset, uint64_t length) except NULL:
        """A checked part. It stays at this place as long as the pack exists."""
        cdef uint64_t body = self.size - self.body
        if length > body or offset > body or offset + length + CHECKSUM > body:
            raise Fault("part", pack=self.where, byte=offset, length=length)
        if self.whole:
            return <const unsigned char*>PyBytes_AS_STRING(self.head) + self.body + offset
        data = self.kept.get(offset)
        if data is None:
            data = self.fetch(offset, length + CHECKSUM)
            self.good(offset, data)
            data = self.keep(self.kept, offset, data)
        if <uint64_t>PyBytes_GET_SIZE(data) != length + CHECKSUM:
            raise Fault("part length", pack=self.where, byte=self.body + offset)
        return <const unsigned char*>PyBytes_AS_STRING(data)
