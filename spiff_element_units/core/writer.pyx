"""A workflow's model -> pack bytes. The layout is the table in `pack`.

It needs memory for the text, its copy without whitespace, the model and the pack. The same text
always gives the same bytes.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from .body cimport Body, body_at, put, put32, put64, seal
from .directory cimport Directory
from .ids cimport Id
from .layout cimport (
    ASCII, BUCKET, BY_EVENTS, CHECKSUM, CHUNK, CHUNK_ENTRIES, DIGEST, ELEMENT, FORMAT, HEADER,
    LEADS, LINK_NAMES, LONG_NUMBERS, NOWHERE, PROCESS_IDS, RECORD, SAYS_EVENTS, has_long_numbers,
    id_hash, is_ascii, load64, start_of, store32,
)
from .model cimport Element, Link, Model, Process
from .order cimport Callers, Numbers, Order, leading
from .reader cimport read_model
from .scan cimport Slice
from .slicer cimport Member, slice_workflow
from .text cimport Text

from .fault import Fault

cdef bytes MAGIC_BYTES = b"\x89SEU\r\n\x1a\n"
MAGIC = MAGIC_BYTES
PACK_FORMAT = <int>FORMAT

cdef uint64_t LIMIT = 0xFFFFFFFFu  # lengths and counts are 32 bits wide


def pack_header(
    str key not None, bytes digest not None, uint64_t body, uint32_t count, uint32_t root,
    uint32_t process_buckets, uint32_t element_buckets, uint64_t tail, uint64_t roster,
    uint64_t lists,
):
    """The header of a pack, checksum included."""
    cdef bytes name = key.encode("utf-8", "surrogatepass")
    cdef bytes header = PyBytes_FromStringAndSize(NULL, HEADER + len(name) + CHECKSUM)
    cdef Body out = body_at(<unsigned char*>PyBytes_AS_STRING(header), 0, 0)
    put(&out, <const char*>MAGIC_BYTES, 8)
    put32(&out, FORMAT)
    put32(&out, <uint32_t>len(name))
    put64(&out, body)
    put(&out, start_of(digest), DIGEST)
    put32(&out, count)
    put32(&out, root)
    put32(&out, process_buckets)
    put32(&out, element_buckets)
    put64(&out, tail)
    put64(&out, roster)
    put64(&out, lists)
    put(&out, <const char*>name, len(name))
    seal(&out)
    return header


cdef class _Builder:
    """A model on its way into a pack."""

    cdef Model model
    cdef bytes digest
    cdef Order order
    cdef Callers callers
    cdef Directory processes
    cdef Directory elements

    def __cinit__(self, Text text, bytes digest):
        self.model = read_model(slice_workflow(text), digest)
        self.digest = digest
        self.order = Order(self.model)
        self.callers = Callers(self.model, self.order)
        self.processes = Directory()
        self.elements = Directory()
        self.index()

    cdef int index(self) except -1:
        """Fill the directories."""
        cdef Model model = self.model
        cdef const unsigned char* digest = start_of(self.digest)
        cdef uint64_t k0 = load64(digest), k1 = load64(digest + 8)
        cdef Process* process
        cdef Element* element
        cdef uint32_t index, number
        self.processes.expect(model.count)
        self.elements.expect(model.count + <uint64_t>model.element_count)
        for index in range(model.count):
            process = &model.processes[self.order.ranks.at[index]]
            element = model.elements + process.first_element
            self.processes.add(
                id_hash(k0, k1, PROCESS_IDS, process.id.data, process.id.length), index)
            if not process.is_element:
                self.elements.add(process.hashed, index)
            for number in range(process.elements):
                self.elements.add(element[number].hashed, index)
        self.processes.measure()
        self.elements.measure()
        return 0

    cdef bytes pack(self):
        cdef bytes tail = self.tail(), roster = self.roster(), header, whole
        cdef uint64_t count = self.model.count
        cdef uint64_t chunks = (count + CHUNK_ENTRIES - 1) // CHUNK_ENTRIES
        cdef uint64_t lists = (
            len(tail) + len(roster) + 2 * CHECKSUM + chunks * (CHUNK + CHECKSUM)
            + (self.processes.buckets + self.elements.buckets) * (BUCKET + CHECKSUM))
        cdef uint64_t lists_length = self.processes.lists_length + self.elements.lists_length
        cdef uint64_t length = lists + lists_length
        cdef uint32_t rank
        cdef unsigned char* start
        cdef Body body, listing
        for rank in range(self.model.count):
            length += (self.record_length(rank) + self.model.processes[rank].spec.length
                       + 2 * CHECKSUM)
        header = pack_header(
            "", self.digest, length, count, self.order.indexes.at[0], self.processes.buckets,
            self.elements.buckets, len(tail), len(roster), lists_length)
        whole = PyBytes_FromStringAndSize(NULL, len(header) + length)
        start = <unsigned char*>PyBytes_AS_STRING(whole)
        memcpy(start, <const char*>header, len(header))
        start += len(header)
        body = body_at(start, 0, load64(start_of(self.digest)))
        listing = body_at(start, lists, body.k0)
        put(&body, <const char*>tail, len(tail))
        seal(&body)
        self.processes.write(&body, &listing)
        self.write_table(&body, lists + lists_length)
        self.elements.write(&body, &listing)
        put(&body, <const char*>roster, len(roster))
        seal(&body)
        body = body_at(start, lists + lists_length, body.k0)
        self.write_processes(&body)
        return whole

    cdef bytes tail(self):
        """The end of every unit, behind the specs: the caller's version and other members."""
        cdef dict members = {}
        cdef list parts = []
        cdef Member* member = self.model.slices.found.others
        cdef uint32_t number
        for number in range(self.model.slices.found.other_count):
            members[self.model.slices.string(member[number].key)] = number  # the last one counts
        for key, number in members.items():
            token = self.model.slices.bytes_of(member[number].key)
            if key == "serializer_version":
                if "source_serializer_version" in members:
                    continue  # a unit that is cached again keeps its source
                token = b'"source_serializer_version"'
            parts.append(b"," + token + b":" + self.model.slices.bytes_of(member[number].value))
        return b"".join(parts)

    cdef bytes roster(self):
        cdef list parts = []
        cdef unsigned char[8] row
        cdef uint32_t number, rank
        cdef Id id
        for number in range(self.model.keys.count):
            id = self.model.keys.nodes[number].id
            rank = self.model.keys.nodes[number].value
            store32(row, NOWHERE if rank == NOWHERE else self.order.indexes.at[rank])
            store32(row + 4, id.length)
            parts.append(row[:8])
            parts.append(id.data[:id.length])
        return b"".join(parts)

    cdef uint64_t record_length(self, uint32_t rank) except 0:
        cdef Process* process = &self.model.processes[rank]
        cdef uint64_t length = (
            RECORD + process.links * <uint64_t>(8 + LINK_NAMES)
            + 4 * <uint64_t>self.callers.count(rank) + process.elements * <uint64_t>ELEMENT
            + 4 * <uint64_t>process.targets + process.strings)
        if length > LIMIT:
            raise Fault("long ids", process=self.model.slices.string(process.key))
        return length

    cdef int write_table(self, Body* body, uint64_t at) except -1:
        """Write the table of processes in chunks. The first process is at `at`."""
        cdef Model model = self.model
        cdef const unsigned char* spec
        cdef uint32_t index, rank, length
        cdef bint ascii = model.slices.text.ascii
        cdef uint32_t flags
        cdef Numbers leads = leading(model, self.order, self.callers)
        for index in range(model.count):
            rank = self.order.ranks.at[index]
            length = model.processes[rank].spec.length
            spec = model.slices.data + model.processes[rank].spec.at
            put64(body, at)
            put64(body, length)
            put32(body, <uint32_t>self.record_length(rank))
            put32(body, self.order.runs.at[index])
            put32(body, rank)
            flags = SAYS_EVENTS
            if ascii or is_ascii(spec, length):
                flags |= ASCII
            if has_long_numbers(spec, length):
                flags |= LONG_NUMBERS
            if model.processes[rank].by_events:
                flags |= BY_EVENTS
            if leads.at[index]:
                flags |= LEADS
            put32(body, flags)
            at += self.record_length(rank) + length + 2 * CHECKSUM
            if index % CHUNK_ENTRIES == CHUNK_ENTRIES - 1:
                seal(body)
        if body.at != body.part:
            length = <uint32_t>(CHUNK - (body.at - body.part))
            memset(body.at, 0, length)
            body.at += length
            seal(body)
        return 0

    cdef int write_processes(self, Body* body) except -1:
        cdef Slice spec
        cdef uint32_t index, rank
        for index in range(self.model.count):
            rank = self.order.ranks.at[index]
            spec = self.model.processes[rank].spec
            self.write_record(body, rank)
            seal(body)
            put(body, self.model.slices.data + spec.at, spec.length)
            seal(body)
        return 0

    cdef void write_record(self, Body* body, uint32_t rank) noexcept:
        cdef Model model = self.model
        cdef Process* process = &model.processes[rank]
        cdef Element* element = model.elements + process.first_element
        cdef Link* link = model.links + process.first_link
        cdef uint32_t number, place, first = 0
        put32(body, self.order.indexes.at[rank])
        put32(body, process.id.length)
        put32(body, process.key.length)
        put32(body, process.links)
        put32(body, self.callers.count(rank))
        put32(body, process.elements)
        put32(body, process.targets)
        for number in range(process.links):
            put32(body, link[number].kind)
            put32(body, NOWHERE if link[number].target == NOWHERE
                  else self.order.indexes.at[link[number].target])
        for number in range(self.callers.first.at[rank], self.callers.first.at[rank + 1]):
            put32(body, self.callers.indexes.at[number])
        for number in range(process.links):
            put32(body, link[number].name)
            put32(body, link[number].name_length)
            put32(body, link[number].element)
            put32(body, link[number].element_length)
        place = process.id.length + process.key.length
        for number in range(process.elements):
            put32(body, place)
            put32(body, element[number].id.length)
            put32(body, first)
            put32(body, element[number].targets)
            place += element[number].id.length
            first += element[number].targets
        for number in range(process.first_target, process.first_target + process.targets):
            put32(body, self.order.indexes.at[model.targets[number]])
        put(body, process.id.data, process.id.length)
        put(body, model.slices.data + process.key.at, process.key.length)
        for number in range(process.elements):
            put(body, element[number].id.data, element[number].id.length)
        for number in range(process.first_name, process.first_name + process.names):
            put(body, model.names[number].data, model.names[number].length)


def build_pack(Text text not None, bytes digest not None):
    """Decompose a workflow's JSON text into a pack under the empty key.

    `digest` is the SHA-256 of the text. Raises Fault. Time and memory are proportional to the text.
    """
    return _Builder(text, digest).pack()
