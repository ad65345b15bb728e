"""A workflow's model -> pack bytes. The layout is the table in `pack`.

The memory taken is the text, its copy without whitespace, what the model says, and the pack. The
same text gives the same bytes.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from .ids cimport Id
from .layout cimport (
    ASCII, BUCKET, BY_EVENTS, CHECKSUM, CHUNK, CHUNK_ENTRIES, DIGEST, ELEMENT, FORMAT, HEADER,
    LEADS, LINK_NAMES, LONG_NUMBERS, NOWHERE, PROCESS_IDS, RECORD, SAYS_EVENTS, SLOT, SLOTS,
    checksum, has_long_numbers, id_hash, is_ascii, load64, start_of, store32, store64,
)
from .memory cimport more
from .model cimport Element, Link, Model, Process
from .order cimport Callers, Numbers, Order, leading, numbers
from .scan cimport Slice
from .slicer cimport Member, slice_workflow
from .text cimport Text

from .fault import Fault

cdef bytes MAGIC_BYTES = b"\x89SEU\r\n\x1a\n"
MAGIC = MAGIC_BYTES
PACK_FORMAT = <int>FORMAT

cdef uint64_t LIMIT = 0xFFFFFFFFu  # lengths and counts are 32 bits wide


cdef class _Body:
    """Parts one after the other, each followed by its checksum; room for a header before them."""

    cdef bytes data
    cdef unsigned char* start
    cdef unsigned char* at
    cdef unsigned char* part    # where the part that is written starts
    cdef uint64_t k0

    @staticmethod
    cdef _Body of(bytes digest, uint64_t header, uint64_t length):
        cdef _Body body = _Body.__new__(_Body)
        body.data = PyBytes_FromStringAndSize(NULL, header + length)
        body.start = <unsigned char*>PyBytes_AS_STRING(body.data) + header
        body.at = body.part = body.start
        body.k0 = load64(start_of(digest))
        return body

    cdef inline void u32(self, uint32_t value) noexcept:
        store32(self.at, value)
        self.at += 4

    cdef inline void u64(self, uint64_t value) noexcept:
        store64(self.at, value)
        self.at += 8

    cdef inline void raw(self, const void* data, size_t length) noexcept:
        memcpy(self.at, data, length)
        self.at += length

    cdef void seal(self) noexcept:
        """End the part with its checksum; the next one starts behind."""
        self.u64(checksum(self.k0, self.part - self.start, self.part, self.at - self.part))
        self.part = self.at

    cdef void go_to(self, uint64_t offset) noexcept:
        self.at = self.part = self.start + offset

    cdef _Body beside(self, uint64_t offset):
        """Another place at which to write into the same bytes."""
        cdef _Body other = _Body.__new__(_Body)
        other.data = self.data
        other.start = self.start
        other.k0 = self.k0
        other.go_to(offset)
        return other


cdef struct Entry:
    uint64_t hashed
    uint32_t first, last    # of its owners, plus 1
    uint32_t count


cdef struct Owner:
    uint32_t index
    uint32_t next           # plus 1; 0: none


cdef class _Directory:
    """A hash table of ids: buckets of slots, and lists for the ids that several processes have."""

    cdef Entry* entries     # of each hash, in the order in which they came
    cdef uint32_t entry_count, entry_room
    cdef Owner* owners
    cdef uint32_t owner_count, owner_room
    cdef uint32_t* slots    # numbers of entries, plus 1
    cdef uint64_t slot_count
    cdef uint64_t buckets, lists_length

    def __dealloc__(self):
        free(self.entries)
        free(self.owners)
        free(self.slots)

    cdef int expect(self, uint64_t most) except -1:
        """Be ready for so many ids."""
        self.slot_count = 64
        while self.slot_count < 2 * most:
            self.slot_count *= 2
        self.slots = <uint32_t*>calloc(self.slot_count, sizeof(uint32_t))
        if self.slots == NULL:
            raise MemoryError()
        return 0

    cdef int add(self, uint64_t hashed, uint32_t index) except -1:
        cdef uint64_t slot = hashed & (self.slot_count - 1)
        cdef Entry* entry
        while self.slots[slot] and self.entries[self.slots[slot] - 1].hashed != hashed:
            slot = (slot + 1) & (self.slot_count - 1)
        self.owners = <Owner*>more(
            self.owners, self.owner_count, &self.owner_room, sizeof(Owner))
        self.owners[self.owner_count] = Owner(index, 0)
        self.owner_count += 1
        if not self.slots[slot]:
            self.entries = <Entry*>more(
                self.entries, self.entry_count, &self.entry_room, sizeof(Entry))
            self.entries[self.entry_count] = Entry(hashed, self.owner_count, 0, 0)
            self.entry_count += 1
            self.slots[slot] = self.entry_count
        entry = &self.entries[self.slots[slot] - 1]
        if entry.last:
            self.owners[entry.last - 1].next = self.owner_count
        entry.last = self.owner_count
        entry.count += 1
        return 0

    cdef void measure(self) noexcept:
        """Say how much room buckets and lists take."""
        cdef uint32_t number
        for number in range(self.entry_count):
            if self.entries[number].count > 1:
                self.lists_length += 4 * <uint64_t>self.entries[number].count + CHECKSUM
        self.buckets = <uint64_t>self.entry_count * 3 // (2 * SLOTS) + 1  # two thirds full

    cdef int write(self, _Body body, _Body lists) except -1:
        """Write the buckets where `body` is, and the lists where `lists` is."""
        cdef Numbers used = numbers(self.buckets, 0)
        cdef unsigned char* start = body.at
        cdef unsigned char* slot
        cdef uint64_t bucket, _bucket
        cdef uint32_t number, owner
        cdef Entry* entry
        memset(start, 0, self.buckets * (BUCKET + CHECKSUM))
        for number in range(self.entry_count):
            entry = &self.entries[number]
            bucket = entry.hashed % self.buckets
            while used.at[bucket] == SLOTS:
                bucket = bucket + 1 if bucket + 1 < self.buckets else 0
            slot = start + bucket * (BUCKET + CHECKSUM) + used.at[bucket] * SLOT
            used.at[bucket] += 1
            store64(slot, entry.hashed)
            store32(slot + 16, entry.count)
            if entry.count == 1:
                store32(slot + 20, self.owners[entry.first - 1].index)
                continue
            store64(slot + 8, lists.at - lists.start)
            owner = entry.first
            while owner:
                lists.u32(self.owners[owner - 1].index)
                owner = self.owners[owner - 1].next
            lists.seal()
        for _bucket in range(self.buckets):
            body.at += BUCKET
            body.seal()
        return 0


def pack_header(
    str key not None, bytes digest not None, uint64_t body, uint32_t count, uint32_t root,
    uint32_t process_buckets, uint32_t element_buckets, uint64_t tail, uint64_t roster,
    uint64_t lists,
):
    """The header of a pack, checksum included."""
    cdef bytes name = key.encode("utf-8", "surrogatepass")
    cdef _Body out = _Body.of(bytes(DIGEST), 0, HEADER + len(name) + CHECKSUM)
    out.raw(<const char*>MAGIC_BYTES, 8)
    out.u32(FORMAT)
    out.u32(<uint32_t>len(name))
    out.u64(body)
    out.raw(start_of(digest), DIGEST)
    out.u32(count)
    out.u32(root)
    out.u32(process_buckets)
    out.u32(element_buckets)
    out.u64(tail)
    out.u64(roster)
    out.u64(lists)
    out.raw(<const char*>name, len(name))
    out.seal()
    return out.data


cdef class _Builder:
    """A model on its way into a pack."""

    cdef Model model
    cdef bytes digest
    cdef Order order
    cdef Callers callers
    cdef _Directory processes
    cdef _Directory elements

    def __cinit__(self, Text text, bytes digest):
        self.model = Model(slice_workflow(text), digest)
        self.digest = digest
        self.order = Order(self.model)
        self.callers = Callers(self.model, self.order)
        self.processes = _Directory()
        self.elements = _Directory()
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
        cdef bytes tail = self.tail()
        cdef bytes roster = self.roster()
        cdef uint64_t count = self.model.count
        cdef uint64_t chunks = (count + CHUNK_ENTRIES - 1) // CHUNK_ENTRIES
        cdef uint64_t lists = (
            len(tail) + len(roster) + 2 * CHECKSUM + chunks * (CHUNK + CHECKSUM)
            + (self.processes.buckets + self.elements.buckets) * (BUCKET + CHECKSUM))
        cdef uint64_t lists_length = self.processes.lists_length + self.elements.lists_length
        cdef uint64_t length = lists + lists_length
        cdef uint32_t rank
        cdef _Body body, listing
        for rank in range(self.model.count):
            length += (self.record_length(rank) + self.model.processes[rank].spec.length
                       + 2 * CHECKSUM)
        header = pack_header(
            "", self.digest, length, count, self.order.indexes.at[0], self.processes.buckets,
            self.elements.buckets, len(tail), len(roster), lists_length)
        body = _Body.of(self.digest, len(header), length)
        memcpy(PyBytes_AS_STRING(body.data), <const char*>header, len(header))
        listing = body.beside(lists)
        body.raw(<const char*>tail, len(tail))
        body.seal()
        self.processes.write(body, listing)
        self.write_table(body, lists + lists_length)
        self.elements.write(body, listing)
        body.raw(<const char*>roster, len(roster))
        body.seal()
        body.go_to(lists + lists_length)
        self.write_processes(body)
        return body.data

    cdef bytes tail(self):
        """What follows the specs in every unit: the caller's version and other top-level keys."""
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
                    continue  # a unit cached again: its source stays what it was
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

    cdef int write_table(self, _Body body, uint64_t at) except -1:
        """The table of processes, in chunks; the first of them lies at `at`."""
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
            body.u64(at)
            body.u64(length)
            body.u32(<uint32_t>self.record_length(rank))
            body.u32(self.order.runs.at[index])
            body.u32(rank)
            flags = SAYS_EVENTS
            if ascii or is_ascii(spec, length):
                flags |= ASCII
            if has_long_numbers(spec, length):
                flags |= LONG_NUMBERS
            if model.processes[rank].by_events:
                flags |= BY_EVENTS
            if leads.at[index]:
                flags |= LEADS
            body.u32(flags)
            at += self.record_length(rank) + length + 2 * CHECKSUM
            if index % CHUNK_ENTRIES == CHUNK_ENTRIES - 1:
                body.seal()
        if body.at != body.part:
            length = <uint32_t>(CHUNK - (body.at - body.part))
            memset(body.at, 0, length)
            body.at += length
            body.seal()
        return 0

    cdef int write_processes(self, _Body body) except -1:
        cdef Slice spec
        cdef uint32_t index, rank
        for index in range(self.model.count):
            rank = self.order.ranks.at[index]
            spec = self.model.processes[rank].spec
            self.write_record(body, rank)
            body.seal()
            body.raw(self.model.slices.data + spec.at, spec.length)
            body.seal()
        return 0

    cdef void write_record(self, _Body body, uint32_t rank) noexcept:
        cdef Model model = self.model
        cdef Process* process = &model.processes[rank]
        cdef Element* element = model.elements + process.first_element
        cdef Link* link = model.links + process.first_link
        cdef uint32_t number, place, first = 0
        body.u32(self.order.indexes.at[rank])
        body.u32(process.id.length)
        body.u32(process.key.length)
        body.u32(process.links)
        body.u32(self.callers.count(rank))
        body.u32(process.elements)
        body.u32(process.targets)
        for number in range(process.links):
            body.u32(link[number].kind)
            body.u32(NOWHERE if link[number].target == NOWHERE
                     else self.order.indexes.at[link[number].target])
        for number in range(self.callers.first.at[rank], self.callers.first.at[rank + 1]):
            body.u32(self.callers.indexes.at[number])
        for number in range(process.links):
            body.u32(link[number].name)
            body.u32(link[number].name_length)
            body.u32(link[number].element)
            body.u32(link[number].element_length)
        place = process.id.length + process.key.length
        for number in range(process.elements):
            body.u32(place)
            body.u32(element[number].id.length)
            body.u32(first)
            body.u32(element[number].targets)
            place += element[number].id.length
            first += element[number].targets
        for number in range(process.first_target, process.first_target + process.targets):
            body.u32(self.order.indexes.at[model.targets[number]])
        body.raw(process.id.data, process.id.length)
        body.raw(model.slices.data + process.key.at, process.key.length)
        for number in range(process.elements):
            body.raw(element[number].id.data, element[number].id.length)
        for number in range(process.first_name, process.first_name + process.names):
            body.raw(model.names[number].data, model.names[number].length)


def build_pack(Text text not None, bytes digest not None):
    """Decompose a workflow's JSON text into a pack under the empty key.

    `digest` is the text's SHA-256. Raises Fault. Time and memory are proportional to
    the text.
    """
    return _Builder(text, digest).pack()
