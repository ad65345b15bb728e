"""Workflow JSON -> pack bytes. The layout is the table in `_pack`.

Each process spec is parsed by itself and let go before the next, so that the memory taken is the
text, its copy without whitespace, the pack, and one process. The same text gives the same bytes.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

import hashlib

import orjson

from ._graph cimport CALL, NOWHERE, Process, embedding_order, read_process
from ._layout cimport (
    BUCKET, CHECKSUM, CHUNK, CHUNK_ENTRIES, ELEMENT, ELEMENT_IDS, FORMAT, HEADER,
    LINK_NAMES, PROCESS_IDS, RECORD, SLOT, checksum, id_hash, load64, store32, store64,
)
from ._slicer cimport Member, Slices, slice_workflow

from .errors import InvalidWorkflowSpec

cdef bytes MAGIC_BYTES = b"\x89SEU\r\n\x1a\n"
MAGIC = MAGIC_BYTES

cdef uint64_t LIMIT = 0xFFFFFFFFu  # lengths and counts of one process are 32 bits wide


cdef object parse(Slices slices, Member member, str where):
    """The value of a member, parsed from the original text."""
    try:
        return orjson.loads(slices.text[member.start:member.end])
    except orjson.JSONDecodeError as error:
        try:
            orjson.loads(slices.text)  # for the position in the whole
        except orjson.JSONDecodeError as whole:
            error = whole
        raise InvalidWorkflowSpec(f"{where} is not JSON: {error}") from error


cdef inline bytes key_token(Slices slices, Member member):
    return slices.compact[member.key_at:member.key_end]


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

    def __cinit__(self, bytes text):
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
            parse(self.slices, subprocess_specs, "subprocess_specs")
            raise InvalidWorkflowSpec(
                'subprocess_specs must be an object ({} where there are no subprocesses)')
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


cdef class _Heap:
    """Strings of a record, each once."""

    cdef dict places
    cdef list strings
    cdef uint64_t length

    def __cinit__(self, bytes id, bytes key):
        self.places = {}
        self.strings = [id, key]
        self.length = len(id) + len(key)

    cdef tuple place(self, str string):
        place = self.places.get(string)
        if place is None:
            data = string.encode()
            place = (self.length, len(data))
            self.places[string] = place
            self.strings.append(data)
            self.length += len(data)
        return place


cdef bytes record(_Workflow workflow, uint32_t rank, list positions, list callers):
    """A process's record, with the indexes of other processes that `positions` gives."""
    cdef Process process = workflow.processes[rank]
    cdef bytes id = workflow.ids[rank].encode(), key = workflow.keys[rank]
    cdef _Heap heap = _Heap(id, key)
    cdef list element_places = [heap.place(element) for element in process.elements]
    cdef list link_places = [heap.place(name) + heap.place(element)
                             for _, name, element in process.references]
    cdef list targets = [[positions[workflow.ranks[name]] for name in names
                          if name in workflow.ranks] if names else []
                         for names in process.elements.values()]
    cdef uint64_t links = len(process.references), elements = len(process.elements)
    cdef uint64_t target_count = sum([len(names) for names in targets]), first = 0
    cdef uint64_t length = (RECORD + links * (8 + LINK_NAMES) + 4 * <uint64_t>len(callers)
                            + elements * ELEMENT + 4 * target_count + heap.length)
    cdef _Buffer out
    if length > LIMIT:
        raise InvalidWorkflowSpec(f"the ids of process {workflow.ids[rank]!r} take over 4 GiB")
    out = _Buffer(length)
    out.u32(positions[rank])
    out.u32(<uint32_t>len(id))
    out.u32(<uint32_t>len(key))
    out.u32(<uint32_t>links)
    out.u32(<uint32_t>len(callers))
    out.u32(<uint32_t>elements)
    out.u32(<uint32_t>target_count)
    for kind, name, _ in process.references:
        out.u32(kind)
        out.u32(positions[workflow.ranks[name]] if name in workflow.ranks else NOWHERE)
    for caller in callers:
        out.u32(caller)
    for place in link_places:
        for number in place:
            out.u32(number)
    for place, names in zip(element_places, targets):
        out.u32(place[0])
        out.u32(place[1])
        out.u32(<uint32_t>first)
        out.u32(<uint32_t>len(names))
        first += len(names)
    for names in targets:
        for index in names:
            out.u32(index)
    for data in heap.strings:
        out.raw(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    return out.data


cdef class _Directory:
    """A hash table of ids: buckets of slots, and the lists of ids that several processes have."""

    cdef uint64_t k0, k1, kind
    cdef dict owners        # hash -> index, or list of indexes
    cdef list lists         # lists of indexes, as they come in the slots

    def __cinit__(self, bytes digest, uint64_t kind):
        self.k0 = load64(<const unsigned char*>PyBytes_AS_STRING(digest))
        self.k1 = load64(<const unsigned char*>PyBytes_AS_STRING(digest) + 8)
        self.kind = kind
        self.owners = {}
        self.lists = []

    cdef int add(self, str id, uint32_t index) except -1:
        cdef bytes data = id.encode()
        cdef uint64_t hashed = id_hash(
            self.k0, self.k1, self.kind,
            <const unsigned char*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        known = self.owners.get(hashed)
        if known is None:
            self.owners[hashed] = index
        elif isinstance(known, list):
            (<list>known).append(index)
        else:
            self.owners[hashed] = [known, index]
        return 0

    cdef list buckets(self, uint64_t lists_at):
        """The payloads of the buckets; lists lie from `lists_at` on, each with its checksum."""
        cdef uint64_t count = len(self.owners) // 10 + 1, hashed, bucket
        cdef list slots = [[] for _ in range(count)]
        cdef list payloads = []
        cdef _Buffer out
        for key in sorted(self.owners):
            hashed = key
            bucket = hashed % count
            while len(slots[bucket]) == BUCKET // SLOT:
                bucket = (bucket + 1) % count
            (<list>slots[bucket]).append(key)
        for used in slots:
            out = _Buffer(BUCKET)
            for key in used:
                owners = self.owners[key]
                out.u64(key)
                if isinstance(owners, list):
                    out.u64(lists_at)
                    out.u32(<uint32_t>len(owners))
                    out.u32(0)
                    self.lists.append(owners)
                    lists_at += 4 * <uint64_t>len(owners) + CHECKSUM
                else:
                    out.u64(0)
                    out.u32(1)
                    out.u32(owners)
            memset(out.at, 0, (BUCKET // SLOT - len(used)) * SLOT)
            payloads.append(out.data)
        return payloads

    cdef uint64_t size(self) except? 0:
        return (<uint64_t>len(self.owners) // 10 + 1) * (BUCKET + CHECKSUM)

    cdef uint64_t lists_size(self) except? 0:
        return sum([4 * len(owners) + CHECKSUM for owners in self.owners.values()
                    if isinstance(owners, list)])


cdef class _Body:
    """Parts one after the other, each followed by its checksum."""

    cdef bytes data
    cdef unsigned char* start
    cdef uint64_t at, k0, k1

    def __cinit__(self, uint64_t length, bytes digest):
        self.data = PyBytes_FromStringAndSize(NULL, length)
        self.start = <unsigned char*>PyBytes_AS_STRING(self.data)
        self.k0 = load64(<const unsigned char*>PyBytes_AS_STRING(digest))
        self.k1 = load64(<const unsigned char*>PyBytes_AS_STRING(digest) + 8)

    cdef int part(self, bytes data, Py_ssize_t start, Py_ssize_t end) except -1:
        cdef uint64_t length = end - start
        memcpy(self.start + self.at, PyBytes_AS_STRING(data) + start, length)
        store64(self.start + self.at + length,
                checksum(self.k0, self.k1, self.at, self.start + self.at, length))
        self.at += length + CHECKSUM
        return 0

    cdef int parts(self, list payloads) except -1:
        for data in payloads:
            self.part(data, 0, PyBytes_GET_SIZE(data))
        return 0


cdef list chunks(list entries):
    """The table of processes, in chunks."""
    cdef list payloads = []
    cdef _Buffer out
    cdef Py_ssize_t first
    for first in range(0, len(entries), CHUNK_ENTRIES):
        out = _Buffer(CHUNK)
        for offset, spec_length, record_length, run, rank in entries[first:first + CHUNK_ENTRIES]:
            out.u64(offset)
            out.u64(spec_length)
            out.u32(record_length)
            out.u32(run)
            out.u32(rank)
            out.u32(0)
        memset(out.at, 0, CHUNK - (out.at - <unsigned char*>PyBytes_AS_STRING(out.data)))
        payloads.append(out.data)
    return payloads


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
    out.u64(checksum(0, 0, 0, start, length))
    return out.data


def build_pack(bytes text not None):
    """Decompose a workflow's JSON text (UTF-8) into a pack without a key: (header, body).

    Raises InvalidWorkflowSpec. Time and memory are proportional to the text.
    """
    cdef _Workflow workflow = _Workflow(text)
    cdef bytes digest = hashlib.sha256(text).digest()
    cdef Py_ssize_t count = len(workflow.ids), index
    cdef list order = embedding_order(linked(workflow, True))
    cdef list positions = [0] * count, callers = [[] for _ in range(count)]
    cdef list records = [], entries = []
    cdef _Directory processes = _Directory(digest, PROCESS_IDS)
    cdef _Directory elements = _Directory(digest, ELEMENT_IDS)
    cdef Process process
    cdef Member member
    cdef uint64_t at
    cdef _Body body
    for index, (rank, _) in enumerate(order):
        positions[rank] = index
    for rank, targets in enumerate(linked(workflow, False)):
        for target in targets:
            callers[target].append(positions[rank])
    for rank in range(count):
        processes.add(workflow.ids[rank], positions[rank])
    for index, (rank, _) in enumerate(order):
        process = workflow.processes[rank]
        records.append(record(workflow, rank, positions, callers[rank]))
        workflow.processes[rank] = None
        if workflow.ids[rank] not in process.elements:
            elements.add(workflow.ids[rank], index)
        for element in process.elements:
            elements.add(element, index)
    names = roster_bytes(workflow.roster, positions)
    table = ((count + CHUNK_ENTRIES - 1) // CHUNK_ENTRIES) * (CHUNK + CHECKSUM)
    lists_at = (len(workflow.tail) + CHECKSUM + processes.size() + table + elements.size()
                + len(names) + CHECKSUM)
    process_slots = processes.buckets(lists_at)
    element_slots = elements.buckets(lists_at + processes.lists_size())
    lists_size = processes.lists_size() + elements.lists_size()
    at = lists_at + lists_size
    for data, (rank, run) in zip(records, order):
        member = workflow.members[rank]
        entries.append((at, member.until - member.at, len(data), run, rank))
        at += len(data) + (member.until - member.at) + 2 * CHECKSUM
    body = _Body(at, digest)
    body.part(workflow.tail, 0, len(workflow.tail))
    body.parts(process_slots)
    body.parts(chunks(entries))
    body.parts(element_slots)
    body.part(names, 0, len(names))
    body.parts([list_bytes(owners) for owners in processes.lists + elements.lists])
    for data, (rank, _) in zip(records, order):
        member = workflow.members[rank]
        body.part(data, 0, len(data))
        body.part(workflow.slices.compact, member.at, member.until)
    header = pack_header(
        "", digest, at, count, positions[0], len(process_slots), len(element_slots),
        len(workflow.tail), len(names), lists_size)
    return header, body.data


cdef bytes list_bytes(list owners):
    cdef _Buffer out = _Buffer(4 * len(owners))
    for index in owners:
        out.u32(index)
    return out.data
