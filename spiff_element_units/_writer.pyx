"""Workflow JSON -> pack bytes. The layout is the table in `_pack`.

Each process spec is parsed by itself and let go before the next, so that the memory taken is the
text, its copy without whitespace, the pack, and one process. The same text gives the same bytes.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.bytearray cimport PyByteArray_AS_STRING
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, qsort, realloc
from libc.string cimport memcpy, memset

import orjson

from ._graph cimport CALL, NOWHERE, Process, describe, embedding_order, read_process
from ._layout cimport (
    ASCII, BUCKET, CHECKSUM, CHUNK, CHUNK_ENTRIES, ELEMENT, ELEMENT_IDS, FORMAT, HEADER,
    LINK_NAMES, PROCESS_IDS, RECORD, SLOT, SLOTS, checksum, id_hash,
    is_ascii, load64, store32, store64,
)
from ._slicer cimport Member, Slices, Text, slice_workflow

from .errors import InvalidWorkflowSpec

cdef bytes MAGIC_BYTES = b"\x89SEU\r\n\x1a\n"
MAGIC = MAGIC_BYTES

cdef uint64_t LIMIT = 0xFFFFFFFFu  # lengths of ids and counts are 32 bits wide


cdef object parse(Slices slices, Member member, str where):
    """The value of a member."""
    try:
        return orjson.loads(slices.compact[member.at:member.until])
    except orjson.JSONDecodeError as error:
        try:
            orjson.loads(memoryview(slices.text))  # for the position in the whole
        except orjson.JSONDecodeError as whole:
            error = whole
        raise InvalidWorkflowSpec(f"{where} is not JSON: {error}") from error


cdef inline bytes key_token(Slices slices, Member member):
    return bytes(slices.compact[member.key_at:member.key_end])


cdef class _Workflow:
    """A workflow read from its text: processes by rank, the root first, then as the caller has
    them; and what the text says beside them."""

    cdef Slices slices
    cdef list members       # Member of each process
    cdef list ids           # str of each process
    cdef list keys          # JSON token of each id
    cdef list processes     # Process of each
    cdef list roster        # (id, rank or NOWHERE) of each key of subprocess_specs
    cdef dict ranks         # key of subprocess_specs -> rank
    cdef bytes tail

    def __cinit__(self, Text text):
        cdef Member member
        cdef dict top = {}
        self.slices = slice_workflow(text)
        for member in self.slices.members:
            if member.key in top:
                parse(self.slices, top[member.key], member.key)  # JSON has the last one win
            top[member.key] = member
        for field in ("spec", "subprocess_specs"):
            if field not in top:
                raise InvalidWorkflowSpec(
                    f'the workflow has no "{field}"; expected '
                    '{"spec": {..}, "subprocess_specs": {..}}, as SpiffWorkflow\'s serializer '
                    "writes it")
        self.read_root(top["spec"])
        self.read_subprocesses(top["subprocess_specs"])
        self.read_tail(top)

    cdef int read_root(self, Member member) except -1:
        spec = parse(self.slices, member, "spec")
        process = read_process(spec, "spec")
        self.members = [member]
        self.ids = [spec["name"]]
        self.keys = [orjson.dumps(spec["name"])]
        self.processes = [process]
        return 0

    cdef int read_subprocesses(self, Member subprocess_specs) except -1:
        cdef Member member
        cdef dict last = {}
        cdef str where
        if subprocess_specs.members is None:
            value = parse(self.slices, subprocess_specs, "subprocess_specs")
            raise InvalidWorkflowSpec(f"subprocess_specs must be an object, not {describe(value)}; "
                                      "{} where there are no subprocesses")
        for member in subprocess_specs.members:
            if member.key in last:
                parse(self.slices, last[member.key], f'subprocess_specs["{member.key}"]')
            last[member.key] = member
        self.roster = []
        self.ranks = {}
        for key, member in last.items():
            where = f'subprocess_specs["{key}"]'
            spec = parse(self.slices, member, where)
            if spec is None:
                self.roster.append((key, NOWHERE))
                continue
            self.ranks[key] = len(self.ids)
            self.roster.append((key, len(self.ids)))
            self.members.append(member)
            self.ids.append(key)
            self.keys.append(key_token(self.slices, member))
            self.processes.append(read_process(spec, where))
        return 0

    cdef int read_tail(self, dict top) except -1:
        """What follows the specs in every unit: the caller's version and other top-level keys."""
        cdef Member member
        cdef list parts = []
        for key, member in top.items():
            if key == "spec" or key == "subprocess_specs":
                continue
            parse(self.slices, member, key)
            token = key_token(self.slices, member)
            if key == "serializer_version":
                if "source_serializer_version" in top:
                    continue  # a unit cached again: its source stays what it was
                token = b'"source_serializer_version"'
            parts.append(b"," + token + b":" + self.slices.compact[member.at:member.until])
        self.tail = b"".join(parts)
        return 0


cdef class _Buffer:
    """Little-endian numbers and strings, one after the other, into one bytes object."""

    cdef bytes data
    cdef unsigned char* at

    def __cinit__(self, size_t length):
        self.data = PyBytes_FromStringAndSize(NULL, length)
        self.at = <unsigned char*>PyBytes_AS_STRING(self.data)

    cdef void u32(self, uint32_t value) noexcept:
        store32(self.at, value)
        self.at += 4

    cdef void u64(self, uint64_t value) noexcept:
        store64(self.at, value)
        self.at += 8

    cdef void raw(self, const void* data, size_t length) noexcept:
        memcpy(self.at, data, length)
        self.at += length


cdef class _Ids:
    """The ids of a process as UTF-8: its own, its token, its elements, and others that it names."""

    cdef list strings
    cdef dict places        # offset of each element and name that a reference needs
    cdef uint64_t length

    def __cinit__(self, _Workflow workflow, uint32_t rank):
        cdef Process process = workflow.processes[rank]
        cdef bytes data
        self.strings = [(<str>workflow.ids[rank]).encode(), workflow.keys[rank]]
        self.length = len(<bytes>self.strings[0]) + len(<bytes>self.strings[1])
        self.places = {}
        for element in process.elements:
            data = (<str>element).encode()
            self.strings.append(data)
            if process.references:
                self.places[element] = self.length
            self.length += PyBytes_GET_SIZE(data)
        for _, name, _ in process.references:
            if name not in self.places:
                data = (<str>name).encode()
                self.strings.append(data)
                self.places[name] = self.length
                self.length += PyBytes_GET_SIZE(data)

    cdef bytes string(self, Py_ssize_t position):
        return <bytes>self.strings[position]


cdef bytes record(_Workflow workflow, uint32_t rank, _Ids ids, list positions, list callers):
    """A process's record, with the indexes of other processes that `positions` gives."""
    cdef Process process = workflow.processes[rank]
    cdef dict ranks = workflow.ranks
    cdef list targets = []
    cdef uint64_t links = len(process.references), elements = len(process.elements)
    cdef uint64_t length, at, first = 0
    cdef bytes data
    cdef _Buffer out
    for names in process.elements.values():
        if names is not None:
            targets += [positions[ranks[name]] for name in names if name in ranks]
    length = (RECORD + links * (8 + LINK_NAMES) + 4 * <uint64_t>len(callers)
              + elements * ELEMENT + 4 * <uint64_t>len(targets) + ids.length)
    if length > LIMIT:
        raise InvalidWorkflowSpec(f"the ids of process {workflow.ids[rank]!r} take over 4 GiB")
    out = _Buffer(length)
    out.u32(positions[rank])
    out.u32(<uint32_t>PyBytes_GET_SIZE(ids.string(0)))
    out.u32(<uint32_t>PyBytes_GET_SIZE(ids.string(1)))
    out.u32(<uint32_t>links)
    out.u32(<uint32_t>len(callers))
    out.u32(<uint32_t>elements)
    out.u32(<uint32_t>len(targets))
    for kind, name, _ in process.references:
        out.u32(kind)
        out.u32(positions[ranks[name]] if name in ranks else NOWHERE)
    for caller in callers:
        out.u32(caller)
    for _, name, element in process.references:
        for string in (name, element):
            out.u32(ids.places[string])
            out.u32(<uint32_t>len((<str>string).encode()))
    at = PyBytes_GET_SIZE(ids.string(0)) + PyBytes_GET_SIZE(ids.string(1))
    for position, names in enumerate(process.elements.values()):
        data = ids.string(2 + position)
        out.u32(<uint32_t>at)
        out.u32(<uint32_t>PyBytes_GET_SIZE(data))
        out.u32(<uint32_t>first)
        count = 0 if names is None else sum([name in ranks for name in names])
        out.u32(count)
        first += count
        at += PyBytes_GET_SIZE(data)
    for index in targets:
        out.u32(index)
    for data in ids.strings:
        out.raw(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    return out.data


cdef struct Owner:
    uint64_t hashed
    uint64_t index


cdef int by_hash(const void* a, const void* b) noexcept nogil:
    cdef const Owner* left = <const Owner*>a
    cdef const Owner* right = <const Owner*>b
    if left.hashed != right.hashed:
        return -1 if left.hashed < right.hashed else 1
    return -1 if left.index < right.index else left.index > right.index


cdef class _Body:
    """Parts one after the other, each followed by its checksum; room for a header before them."""

    cdef bytes data
    cdef unsigned char* start
    cdef uint64_t at, k0

    def __cinit__(self, bytes digest, uint64_t header, uint64_t length):
        self.data = PyBytes_FromStringAndSize(NULL, header + length)
        self.start = <unsigned char*>PyBytes_AS_STRING(self.data) + header
        self.k0 = load64(<const unsigned char*>PyBytes_AS_STRING(digest))

    cdef void seal(self, uint64_t offset, uint64_t length) noexcept:
        """Add the checksum of a part that is written."""
        store64(self.start + offset + length,
                checksum(self.k0, offset, self.start + offset, length))

    cdef void part(self, const void* data, uint64_t length) noexcept:
        memcpy(self.start + self.at, data, length)
        self.seal(self.at, length)
        self.at += length + CHECKSUM


cdef class _Directory:
    """A hash table of ids: buckets of slots, and lists for the ids that several processes have."""

    cdef Owner* owners
    cdef uint64_t count, capacity
    cdef uint64_t k0, k1, kind
    cdef uint64_t buckets, lists_length

    def __cinit__(self, bytes digest, uint64_t kind):
        self.k0 = load64(<const unsigned char*>PyBytes_AS_STRING(digest))
        self.k1 = load64(<const unsigned char*>PyBytes_AS_STRING(digest) + 8)
        self.kind = kind

    def __dealloc__(self):
        free(self.owners)

    cdef int add(self, bytes id, uint64_t index) except -1:
        cdef void* grown
        if self.count == self.capacity:
            self.capacity = 2 * self.capacity + 64
            grown = realloc(self.owners, self.capacity * sizeof(Owner))
            if grown == NULL:
                raise MemoryError()
            self.owners = <Owner*>grown
        self.owners[self.count].hashed = id_hash(
            self.k0, self.k1, self.kind,
            <const unsigned char*>PyBytes_AS_STRING(id), PyBytes_GET_SIZE(id))
        self.owners[self.count].index = index
        self.count += 1
        return 0

    cdef uint64_t same(self, uint64_t first) noexcept:
        """How many owners from `first` on have its hash."""
        cdef uint64_t end = first + 1
        while end < self.count and self.owners[end].hashed == self.owners[first].hashed:
            end += 1
        return end - first

    cdef void measure(self) noexcept:
        """Sort, and say how much room buckets and lists take."""
        cdef uint64_t first = 0, distinct = 0, number
        qsort(self.owners, self.count, sizeof(Owner), by_hash)
        while first < self.count:
            number = self.same(first)
            distinct += 1
            if number > 1:
                self.lists_length += 4 * number + CHECKSUM
            first += number
        self.buckets = distinct * 3 // (2 * SLOTS) + 1  # two thirds full

    cdef uint64_t write(self, _Body body, uint64_t lists_at) except? 0:
        """Write the buckets at the body's end and the lists from `lists_at` on; their end."""
        cdef uint64_t first = 0, number, bucket, _bucket, position, start = body.at
        cdef bytearray filled = bytearray(self.buckets)
        cdef unsigned char* used = <unsigned char*>PyByteArray_AS_STRING(filled)
        cdef unsigned char* slot
        memset(body.start + start, 0, self.buckets * (BUCKET + CHECKSUM))
        while first < self.count:
            number = self.same(first)
            bucket = self.owners[first].hashed % self.buckets
            while used[bucket] == SLOTS:
                bucket = bucket + 1 if bucket + 1 < self.buckets else 0
            slot = body.start + start + bucket * (BUCKET + CHECKSUM) + used[bucket] * SLOT
            used[bucket] += 1
            store64(slot, self.owners[first].hashed)
            store32(slot + 16, <uint32_t>number)
            if number == 1:
                store32(slot + 20, <uint32_t>self.owners[first].index)
            else:
                store64(slot + 8, lists_at)
                for position in range(number):
                    store32(body.start + lists_at + 4 * position,
                            <uint32_t>self.owners[first + position].index)
                body.seal(lists_at, 4 * number)
                lists_at += 4 * number + CHECKSUM
            first += number
        for _bucket in range(self.buckets):
            body.seal(body.at, BUCKET)
            body.at += BUCKET + CHECKSUM
        return lists_at


cdef int write_table(_Body body, list entries) except -1:
    """The table of processes, in chunks."""
    cdef _Buffer out
    cdef Py_ssize_t first
    for first in range(0, len(entries), CHUNK_ENTRIES):
        out = _Buffer(CHUNK)
        for offset, spec_length, record_length, run, rank, flags in (
                entries[first:first + CHUNK_ENTRIES]):
            out.u64(offset)
            out.u64(spec_length)
            out.u32(record_length)
            out.u32(run)
            out.u32(rank)
            out.u32(flags)
        memset(out.at, 0, CHUNK - (out.at - <unsigned char*>PyBytes_AS_STRING(out.data)))
        body.part(<const char*>out.data, CHUNK)
    return 0


cdef bytes roster_bytes(list roster, list positions):
    cdef list parts = []
    cdef _Buffer out
    for key, rank in roster:
        data = key.encode()
        out = _Buffer(8)
        out.u32(NOWHERE if rank == NOWHERE else positions[rank])
        out.u32(<uint32_t>len(data))
        parts.append(out.data)
        parts.append(data)
    return b"".join(parts)


cdef list linked(_Workflow workflow, bint embedded):
    """For each process by rank, the ranks it refers to, each once; embeddings alone if asked."""
    cdef Process process
    return [list(dict.fromkeys([workflow.ranks[name] for kind, name, _ in process.references
                                if name in workflow.ranks and not (embedded and kind == CALL)]))
            for process in workflow.processes]


def pack_header(
    str key, bytes digest, uint64_t body, uint32_t count, uint32_t root, uint32_t process_buckets,
    uint32_t element_buckets, uint64_t tail, uint64_t roster, uint64_t lists,
):
    """The header of a pack, checksum included."""
    cdef bytes name = key.encode("utf-8", "surrogatepass")
    cdef size_t length = HEADER + len(name)
    cdef _Buffer out = _Buffer(length + CHECKSUM)
    cdef unsigned char* start = out.at
    out.raw(<const char*>MAGIC_BYTES, 8)
    out.u32(FORMAT)
    out.u32(<uint32_t>len(name))
    out.u64(body)
    out.raw(<const char*>digest, 32)
    out.u32(count)
    out.u32(root)
    out.u32(process_buckets)
    out.u32(element_buckets)
    out.u64(tail)
    out.u64(roster)
    out.u64(lists)
    out.raw(<const char*>name, len(name))
    out.u64(checksum(0, 0, start, length))
    return out.data


cdef class _Builder:
    """A workflow on its way into a pack: processes in the order of the pack, and their parts."""

    cdef _Workflow workflow
    cdef bytes digest
    cdef list order         # (rank, run) by index
    cdef list positions     # index by rank
    cdef list records       # bytes by index
    cdef _Directory processes
    cdef _Directory elements

    def __cinit__(self, Text text, bytes digest):
        self.workflow = _Workflow(text)
        self.digest = digest
        self.order = embedding_order(linked(self.workflow, True))
        self.positions = [0] * len(self.order)
        for index, (rank, _) in enumerate(self.order):
            self.positions[rank] = index
        self.processes = _Directory(digest, PROCESS_IDS)
        self.elements = _Directory(digest, ELEMENT_IDS)
        self.make_records()
        self.processes.measure()
        self.elements.measure()

    cdef int make_records(self) except -1:
        cdef list callers = [[] for _ in self.order]
        cdef Process process
        cdef _Ids ids
        cdef Py_ssize_t position
        cdef uint64_t index = 0
        for rank, targets in enumerate(linked(self.workflow, False)):
            for target in targets:
                (<list>callers[target]).append(self.positions[rank])
        self.records = []
        for rank, _ in self.order:
            process = self.workflow.processes[rank]
            ids = _Ids(self.workflow, rank)
            self.records.append(record(self.workflow, rank, ids, self.positions, callers[rank]))
            self.processes.add(ids.string(0), index)
            if self.workflow.ids[rank] not in process.elements:
                self.elements.add(ids.string(0), index)
            for position in range(len(process.elements)):
                self.elements.add(ids.string(2 + position), index)
            self.workflow.processes[rank] = None
            index += 1
        return 0

    cdef bytes pack(self):
        cdef bytes tail = self.workflow.tail
        cdef bytes names = roster_bytes(self.workflow.roster, self.positions)
        cdef bytes data
        cdef const unsigned char[::1] compact = self.workflow.slices.compact
        cdef Member member
        cdef list entries = []
        cdef uint64_t table = (
            (len(self.order) + CHUNK_ENTRIES - 1) // CHUNK_ENTRIES * (CHUNK + CHECKSUM))
        cdef uint64_t lists = (
            len(tail) + CHECKSUM
            + (self.processes.buckets + self.elements.buckets) * (BUCKET + CHECKSUM)
            + table + len(names) + CHECKSUM)
        cdef uint64_t lists_length = self.processes.lists_length + self.elements.lists_length
        cdef uint64_t at = lists + lists_length
        cdef _Body body
        for data, (rank, run) in zip(self.records, self.order):
            member = self.workflow.members[rank]
            flags = ASCII if is_ascii(&compact[member.at], member.until - member.at) else 0
            entries.append((at, member.until - member.at, len(data), run, rank, flags))
            at += len(data) + (member.until - member.at) + 2 * CHECKSUM
        header = pack_header(
            "", self.digest, at, len(self.order), self.positions[0], self.processes.buckets,
            self.elements.buckets, len(tail), len(names), lists_length)
        body = _Body(self.digest, len(header), at)
        memcpy(PyBytes_AS_STRING(body.data), <const char*>header, len(header))
        body.part(<const char*>tail, len(tail))
        lists = self.processes.write(body, lists)
        write_table(body, entries)
        lists = self.elements.write(body, lists)
        body.part(<const char*>names, len(names))
        body.at = lists
        for data, (rank, _) in zip(self.records, self.order):
            member = self.workflow.members[rank]
            body.part(<const char*>data, len(data))
            body.part(&compact[member.at], member.until - member.at)
        return body.data


def build_pack(Text text not None, bytes digest not None):
    """Decompose a workflow's JSON text into a pack under the empty key.

    `digest` is the text's SHA-256. Raises InvalidWorkflowSpec. Time and memory are proportional to
    the text.
    """
    if <uint64_t>text.length > LIMIT:
        raise InvalidWorkflowSpec("the workflow takes over 4 GiB")
    return _Builder(text, digest).pack()
