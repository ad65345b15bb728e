"""Parts of a pack -> the record and the spec of each process, by index.

Records and specs are read once and then kept.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcmp

from .layout cimport (
    ASCII, CHECKSUM, CHUNK, CHUNK_ENTRIES, ELEMENT, ENTRY, LINK_NAMES, RECORD, is_ascii, load32,
    load64,
)
from .parts cimport Parts

from .fault import Fault


cdef class Record:

    cdef bint is_id(self, bytes name) noexcept:
        return (self.id_length == <uint64_t>PyBytes_GET_SIZE(name)
                and memcmp(self.heap, PyBytes_AS_STRING(name), self.id_length) == 0)


cdef class Records(Parts):

    def __cinit__(self):
        self.records = {}
        self.specs = {}

    cdef int entry(self, uint32_t index, Entry* out) except -1:
        cdef const unsigned char* at
        cdef uint64_t body = self.size - self.body
        if index >= self.count:
            raise Fault("index", pack=self.where, index=index)
        at = self.part(
            self.table + <uint64_t>(index // CHUNK_ENTRIES) * (CHUNK + CHECKSUM), CHUNK)
        at += index % CHUNK_ENTRIES * ENTRY
        out.offset = load64(at)
        out.spec_length = load64(at + 8)
        out.record_length = load32(at + 16)
        out.run = load32(at + 20)
        out.rank = load32(at + 24)
        out.flags = load32(at + 28)
        if (out.offset > body or out.spec_length > body or not out.run
                or out.run > self.count - index
                or out.offset + out.record_length + out.spec_length + 2 * CHECKSUM > body):
            raise Fault("entry", pack=self.where, index=index)
        return 0

    cdef Record record(self, uint32_t index):
        cdef Entry entry
        cdef bytes part = None
        found = self.records.get(index)
        if found is not None:
            return found
        self.entry(index, &entry)
        if not self.whole:
            part = self.fetch(entry.offset, <uint64_t>entry.record_length + CHECKSUM)
            self.good(entry.offset, part)
        return self.read_record(index, &entry, part)

    cdef Record read_record(self, uint32_t index, Entry* entry, bytes part):
        """Read and keep a record from its part, or from the whole pack if the part is None."""
        cdef Record out = Record.__new__(Record)
        cdef const unsigned char* at
        cdef uint64_t fixed
        if part is None:
            at = self.part(entry.offset, entry.record_length)
        elif PyBytes_GET_SIZE(part) != <Py_ssize_t>entry.record_length + CHECKSUM:
            raise Fault("short record", pack=self.where, index=index)
        else:
            at = <const unsigned char*>PyBytes_AS_STRING(part)
        if entry.record_length < RECORD or load32(at) != index:
            raise Fault("other record", pack=self.where, index=index)
        out.part = part
        out.entry = entry[0]
        out.id_length = load32(at + 4)
        out.key_length = load32(at + 8)
        out.link_count = load32(at + 12)
        out.caller_count = load32(at + 16)
        out.element_count = load32(at + 20)
        out.target_count = load32(at + 24)
        fixed = (RECORD + <uint64_t>out.link_count * (8 + LINK_NAMES)
                 + <uint64_t>out.caller_count * 4 + <uint64_t>out.element_count * ELEMENT
                 + <uint64_t>out.target_count * 4)
        if fixed + out.id_length + out.key_length > entry.record_length:
            raise Fault("record", pack=self.where, index=index)
        out.links = at + RECORD
        out.callers = out.links + <uint64_t>out.link_count * 8
        out.link_names = out.callers + <uint64_t>out.caller_count * 4
        out.elements = out.link_names + <uint64_t>out.link_count * LINK_NAMES
        out.targets = out.elements + <uint64_t>out.element_count * ELEMENT
        out.heap = at + fixed
        out.heap_length = entry.record_length - fixed
        return self.records.setdefault(index, out)

    cdef int prepare(self, uint32_t index, bint run) except -1:
        """Read the record and the spec of a process, and with `run` of its run, all at once."""
        cdef Entry entry, last
        cdef uint64_t end, at = 0, spec
        cdef uint32_t following
        cdef bytes data, part
        if self.whole or index in self.specs:
            return 0
        self.entry(index, &entry)
        self.entry(index + entry.run - 1 if run else index, &last)
        end = last.offset + last.record_length + last.spec_length + 2 * CHECKSUM
        if end <= entry.offset:
            raise Fault("run", pack=self.where, index=index)
        data = self.fetch(entry.offset, end - entry.offset)
        for following in range(index, index + (entry.run if run else 1)):
            self.entry(following, &last)
            if last.offset != entry.offset + at:
                raise Fault("gaps", pack=self.where, index=index)
            spec = at + last.record_length + CHECKSUM
            part = data[at:spec]
            self.good(last.offset, part)
            self.read_record(following, &last, part)
            part = data[spec:spec + last.spec_length + CHECKSUM]
            self.good(entry.offset + spec, part)
            self.keep_spec(following, &last, part)
            at = spec + last.spec_length + CHECKSUM
        return 0

    cdef int keep_spec(self, uint32_t index, Entry* entry, bytes part) except -1:
        cdef const unsigned char* spec = <const unsigned char*>PyBytes_AS_STRING(part)
        if <uint64_t>PyBytes_GET_SIZE(part) != entry.spec_length + CHECKSUM:
            raise Fault("short spec", pack=self.where, index=index)
        if entry.flags & ASCII and not is_ascii(spec, entry.spec_length):
            raise Fault("ASCII", pack=self.where, index=index)
        self.keep(self.specs, index, part)
        return 0

    cdef const unsigned char* spec(self, uint32_t index, Record record) except NULL:
        """The spec of a process, `record.entry.spec_length` bytes."""
        if self.whole:
            return self.part(
                record.entry.offset + record.entry.record_length + CHECKSUM,
                record.entry.spec_length)
        self.prepare(index, False)
        return <const unsigned char*>PyBytes_AS_STRING(self.specs[index])

    cdef str text(self, const unsigned char* data, uint64_t length):
        try:
            return PyUnicode_DecodeUTF8(<const char*>data, length, NULL)
        except UnicodeDecodeError as error:
            raise Fault("name UTF-8", pack=self.where) from error

    cdef const unsigned char* string(
        self, Record record, const unsigned char* place, uint32_t* length
    ) except NULL:
        cdef uint64_t offset = load32(place)
        length[0] = load32(place + 4)
        if offset + length[0] > record.heap_length:
            raise Fault("name", pack=self.where)
        return record.heap + offset

    cdef const unsigned char* links(self, uint32_t index, uint32_t* count) except? NULL:
        cdef Record record = self.record(index)
        count[0] = record.link_count
        return record.links

    cdef const unsigned char* callers(self, uint32_t index, uint32_t* count) except? NULL:
        cdef Record record = self.record(index)
        count[0] = record.caller_count
        return record.callers
