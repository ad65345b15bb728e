"""Pack bytes -> elements, references and specs. `writer` makes the bytes.

A pack is a header and a body. All numbers are little-endian; offsets count from the start of the
body. The body is a row of parts, each followed by its checksum (8 bytes): XXH64, seeded with the
first 8 bytes of the source's digest xor the part's offset, so that a part is good only in its own
pack and place. The header's checksum has the seed 0. The directories' hash is SipHash-1-3; its key
is the first 16 bytes of the digest, the second half xor 1 << 62 for processes and 2 << 62 for
elements.

    header   8 magic, 4 format version, 4 key length, 8 body length, 32 SHA-256 of the source JSON,
             4 number of processes, 4 index of the root, 4 process buckets, 4 element buckets,
             8 tail length, 8 roster length, 8 lists length, the cache key (UTF-8), 8 checksum

    body     tail                what follows the specs in a unit, as JSON text
             process directory   buckets of 16 slots: 8 hash, 8 offset of the list, 4 number of
                                 processes, 4 the process if there is one and no list; the bucket
                                 is hash % number of buckets, or the next after a full one
             table               chunks of 16 entries: 8 offset, 8 spec length, 4 record length,
                                 4 run, 4 rank, 4 flags (1: the spec is ASCII, 2: it may have
                                 whole numbers that 64 bits do not hold, 4: events start the
                                 process, 8: references lead from it to such a one, 16: always;
                                 where it is missing, 0.4.0 wrote the pack, which had no 4 and 8)
             element directory   like the process directory; ids of elements and processes
             roster              each key of subprocess_specs: 4 index (all ones: null), 4 length,
                                 the key
             lists               4 index each
             processes           each a record and, the next part, its spec as JSON text

    record   4 index, 4 id length, 4 key length, 4 links, 4 callers, 4 elements, 4 targets;
             links: 4 kind (0 call, 1 embedded, 2 trigger), 4 target (all ones: external)
             callers: 4 index
             names of the links: 4 offset, 4 length of the process; 4, 4 of the element
             elements: 4 offset, 4 length of the id; 4 first, 4 number of its targets
             targets: 4 index
             strings, which the offsets count from: the id, its JSON token, and others

The format version is now 1. It increases if an earlier reader would misread or refuse what is
written: with another layout, another checksum or another meaning of a number. The magic and the
place of the version never change. A reader accepts only its own version. If it finds another one,
newer or older, its error says so, and caching the workflow again writes the pack in its own
version. If libraries with two formats share a cache directory, they replace each other's packs.
Give each its own directory.

Processes are numbered so that the embedded subprocesses of a process follow it. A `run` is the
number of these processes. Together they are one piece of the file, and usually a start unit.
`rank` is the place in the caller's order.

Reading trusts nothing. Each part is checked when it is first read from a file, and each number is
checked against its bounds before it is used. If anything does not fit, reading raises a Fault.
Parts that were checked are kept, so an open pack can return a unit again without reading. Apart
from that, a Pack never changes, and several threads may use it.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t, uint64_t

from .graph cimport Graph
from .layout cimport (
    ELEMENT, ELEMENT_IDS, LINK_NAMES, LONG_NUMBERS, NOWHERE, PROCESS_IDS, SAYS_EVENTS, load32,
)
from .records cimport Entry, Record

from .fault import Fault
from .graph import KINDS
from .writer import pack_header


cdef class Pack(Graph):
    """A pack, and the questions it answers. `in_memory` makes one that was not read from a file."""

    def __cinit__(self):
        self.spec_digests = {}
        self.process_digests = {}

    @staticmethod
    def in_memory(bytes data not None):
        """A pack that `build_pack` has just made."""
        cdef Pack pack = Pack.__new__(Pack)
        pack.where = "the pack in memory"
        pack.head = data
        pack.whole = True
        pack.size = len(pack.head)
        pack.read_header()
        return pack

    cdef str id_of(self, uint32_t index):
        cdef Record record = self.record(index)
        return self.text(record.heap, record.id_length)

    def root_id(self):
        return self.id_of(self.root)

    def subprocess_ids(self):
        """Each key of subprocess_specs and whether it has a spec. Do not change the dict."""
        if self.roster_keys is None:
            self.roster_keys = self.read_roster()
        return self.roster_keys

    cdef dict read_roster(self):
        cdef const unsigned char* at = self.part(self.roster, self.roster_length)
        cdef const unsigned char* end = at + self.roster_length
        cdef dict keys = {}
        cdef uint64_t length
        while at < end:
            if end - at < 8 or load32(at + 4) > end - at - 8:
                raise Fault("roster", pack=self.where)
            length = load32(at + 4)
            keys[self.text(at + 8, length)] = load32(at) != NOWHERE
            at += 8 + length
        return keys

    def element_ids(self, str process_id not None):
        cdef Record record
        cdef const unsigned char* id
        cdef uint32_t position, length
        cdef list ids = []
        record = self.record(self.find(process_id))
        for position in range(record.element_count):
            id = self.string(record, record.elements + <uint64_t>position * ELEMENT, &length)
            ids.append(self.text(id, length))
        return tuple(ids)

    def references(self, str process_id not None):
        """(kind, process id, element id, whether it is external) of each reference."""
        cdef Record record
        cdef const unsigned char* names
        cdef const unsigned char* link
        cdef const unsigned char* name
        cdef uint32_t position, length
        cdef list found = []
        record = self.record(self.find(process_id))
        for position in range(record.link_count):
            link = record.links + 8 * <uint64_t>position
            names = record.link_names + LINK_NAMES * <uint64_t>position
            if load32(link) >= len(KINDS):
                raise Fault("reference", pack=self.where)
            name = self.string(record, names, &length)
            target = self.text(name, length)
            name = self.string(record, names + 8, &length)
            found.append((KINDS[load32(link)], target, self.text(name, length),
                          load32(link + 4) == NOWHERE))
        return found

    def spec_json(self, str process_id not None):
        cdef uint32_t index = self.find(process_id)
        cdef Record record = self.record(index)
        cdef const unsigned char* data = self.spec(index, record)
        return PyBytes_FromStringAndSize(<const char*>data, record.entry.spec_length)

    def has_long_numbers(self, str process_id not None):
        """Whether a process spec may have a whole number that 64 bits do not hold."""
        return bool(self.record(self.find(process_id)).entry.flags & LONG_NUMBERS)

    def inner_root(self):
        """The spec under the root's id in subprocess_specs; None if there is none."""
        cdef uint32_t index = self.inner_index()
        cdef Record record
        if index == NOWHERE:
            return None
        record = self.record(index)
        return PyBytes_FromStringAndSize(
            <const char*>self.spec(index, record), record.entry.spec_length)

    cdef uint32_t inner_index(self) except? 0xFFFFFFFEu:
        """The index of the spec that `inner_root` gives, or NOWHERE."""
        cdef Record record = self.record(self.root)
        cdef bytes name = record.heap[:record.id_length]
        for index in self.candidates(PROCESS_IDS, name, NOWHERE):
            record = self.record(index)
            if index != self.root and record.is_id(name):
                return index
        return NOWHERE

    def says_events(self):
        """Whether the pack says which processes events start, as packs do since 0.5.0."""
        cdef Entry entry
        self.entry(self.root, &entry)
        return bool(entry.flags & SAYS_EVENTS)

    def tail_json(self):
        """The other top-level members as an object, each as in the text of the workflow."""
        cdef const unsigned char* tail = self.part(0, self.tail_length)
        return b"{" + tail[1 if self.tail_length else 0:self.tail_length] + b"}"

    def has_process(self, str process_id not None):
        return self.look_up(process_id) != NOWHERE

    def has_subprocesses(self):
        """Whether `subprocess_ids` has any."""
        return self.roster_length > 0

    def has_element(self, str element_id not None):
        """Whether any process of the workflow has or is the element."""
        name = element_id.encode("utf-8", "surrogatepass")
        owners = self.candidates(ELEMENT_IDS, name, NOWHERE)
        return any([self.owns(index, name) for index in owners])

    def header(self, str key not None):
        """The header for another cache key. The body is the same for every key."""
        return pack_header(
            key, self.digest, self.size - self.body, self.count, self.root, self.process_buckets,
            self.element_buckets, self.tail_length, self.roster_length, self.lists_length)
