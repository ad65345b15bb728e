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
                                 whole numbers that 64 bits do not hold)
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

The format version, now 1, counts up when a reader of before would misread or refuse what is
written: another layout, checksum or meaning of a number. The magic and the place of the version
never change. A reader takes its own version alone and says so of any other, newer or older; caching
the workflow again writes the pack in its own. Libraries of two formats that share a cache directory
thus replace each other's packs: give each a directory of its own.

Processes are numbered so that what a process embeds follows it: a `run` of so many processes is
one piece of the file, and mostly a start unit. `rank` is the place in the caller's order.

Reading trusts nothing: each part is checked when it is first read from a file, each number is
checked against its bounds before it is used, and what does not fit is a Fault. Parts that
were found good are kept, so that a pack held open serves a unit again without reading. A Pack
never changes otherwise and is safe to use from several threads.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcmp

from .graph cimport Graph, IndexSet
from .layout cimport (
    ASCII, BUCKET, CHECKSUM, CHUNK, CHUNK_ENTRIES, ELEMENT, ELEMENT_IDS, ENTRY, FORMAT, HEADER,
    LINK_NAMES, LONG_NUMBERS, NOWHERE, PROCESS_IDS, RECORD, SLOT, SLOTS, checksum, id_hash,
    is_ascii, load32, load64,
)

from .fault import Fault
from .graph import KINDS
from .writer import MAGIC, pack_header

cdef uint64_t FIRST_READ = 4096


cdef class Record:

    cdef bint is_id(self, bytes name) noexcept:
        return (self.id_length == <uint64_t>PyBytes_GET_SIZE(name)
                and memcmp(self.heap, PyBytes_AS_STRING(name), self.id_length) == 0)


cdef class Pack(Graph):
    """A pack's bytes, and the questions they answer.

    `read(offset, length)` gives up to `length` bytes of a file of `size` bytes; `where` names it
    in messages. A pack in memory is made by `in_memory`.
    """

    def __init__(self, read, uint64_t size, str where not None):
        self.read = read
        self.where = where
        self.size = size
        self.kept = {}
        self.specs = {}
        self.records = {}
        self.head = read(0, min(size, FIRST_READ))
        self.read_header()

    @staticmethod
    def in_memory(bytes data not None):
        """A pack that `build_pack` has just made."""
        cdef Pack pack = Pack.__new__(Pack)
        pack.where = "the pack in memory"
        pack.head = data
        pack.whole = True
        pack.records = {}
        pack.size = len(pack.head)
        pack.read_header()
        return pack

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

    # Parts

    cdef bytes fetch(self, uint64_t offset, uint64_t length):
        """Bytes of the body, unchecked; fewer than asked for at its end."""
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
        """Keep a part that is good; the same part if another thread has kept it meanwhile."""
        kept = parts.setdefault(key, data)
        if kept is data:
            self.held += PyBytes_GET_SIZE(data)
            if self.held > self.size:
                raise Fault("overlap", pack=self.where)
        return kept

    cdef const unsigned char* part(self, uint64_t offset, uint64_t length) except NULL:
        """A good part. It stays where it is as long as the pack lives."""
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
        """Read and keep a record from its part, or from the whole where that is None."""
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
        """Read record and spec of a process in one go, and of its run if asked."""
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

    # Links, for the walks

    cdef const unsigned char* links(self, uint32_t index, uint32_t* count) except? NULL:
        cdef Record record = self.record(index)
        count[0] = record.link_count
        return record.links

    cdef const unsigned char* callers(self, uint32_t index, uint32_t* count) except? NULL:
        cdef Record record = self.record(index)
        count[0] = record.caller_count
        return record.callers

    cdef bint owns(self, uint32_t index, bytes element) except -1:
        cdef Record record = self.record(index)
        return record.is_id(element) or self.element(record, element) != NULL

    cdef list may_own(self, bytes element, uint32_t most):
        return self.candidates(ELEMENT_IDS, element, most)

    # Looking up

    cdef const unsigned char* element(self, Record record, bytes name) except? NULL:
        """The element of that id in the record, or NULL."""
        cdef const unsigned char* at = record.elements
        cdef const unsigned char* id
        cdef uint32_t _position, length, wanted
        if PyBytes_GET_SIZE(name) > 0xFFFFFFFF:
            return NULL
        wanted = <uint32_t>PyBytes_GET_SIZE(name)
        for _position in range(record.element_count):
            if load32(at + 4) == wanted:
                id = self.string(record, at, &length)
                if memcmp(id, PyBytes_AS_STRING(name), length) == 0:
                    return at
            at += ELEMENT
        return NULL

    cdef list candidates(self, uint64_t directory, bytes name, uint32_t most):
        """Indexes of the processes that may have the id; None where there are more than `most`.

        A hash tells, so some may not have it.
        """
        cdef uint64_t hashed = id_hash(
            self.k0, self.k1, directory,
            <const unsigned char*>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        cdef uint64_t start = self.process_directory
        cdef uint32_t buckets = self.process_buckets, bucket, _tried, _slot, count
        cdef const unsigned char* at
        if directory == ELEMENT_IDS:
            start = self.element_directory
            buckets = self.element_buckets
        bucket = <uint32_t>(hashed % buckets)
        for _tried in range(buckets):
            at = self.part(start + <uint64_t>bucket * (BUCKET + CHECKSUM), BUCKET)
            for _slot in range(<uint32_t>SLOTS):
                count = load32(at + 16)
                if not count:
                    return []
                if load64(at) == hashed:
                    if count == 1:
                        return [load32(at + 20)]
                    return None if count > most else self.indexes(load64(at + 8), count)
                at += SLOT
            bucket = bucket + 1 if bucket + 1 < buckets else 0
        return []

    cdef list indexes(self, uint64_t offset, uint32_t count):
        cdef const unsigned char* at = self.part(offset, 4 * <uint64_t>count)
        cdef uint32_t position
        return [load32(at + 4 * position) for position in range(count)]

    cdef uint32_t find(self, str process_id) except? 0xFFFFFFFFu:
        """The index of a process."""
        cdef uint32_t index = self.look_up(process_id)
        if index == NOWHERE:
            raise Fault("no process", pack=self.where, process=process_id)
        return index

    cdef uint32_t look_up(self, str process_id) except? 0xFFFFFFFEu:
        """The index of a process, or NOWHERE."""
        cdef Record record
        cdef bytes name = process_id.encode("utf-8", "surrogatepass")
        for index in self.candidates(PROCESS_IDS, name, NOWHERE):
            record = self.record(index)
            if record.is_id(name):
                return index
        return NOWHERE

    cdef int own(self, uint32_t index, bytes element, IndexSet members) except -1:
        """Add what an element of the process refers to. 0: it has no such element."""
        cdef Record record
        cdef const unsigned char* at
        cdef uint64_t first, count, position
        record = self.record(index)
        at = self.element(record, element)
        if at == NULL:
            return 0
        first = load32(at + 8)
        count = load32(at + 12)
        if first + count > record.target_count:
            raise Fault("targets", pack=self.where)
        for position in range(first, first + count):
            members.add(load32(record.targets + 4 * position))
        return 1

    cdef str id_of(self, uint32_t index):
        cdef Record record = self.record(index)
        return self.text(record.heap, record.id_length)

    def root_id(self):
        return self.id_of(self.root)

    def subprocess_ids(self):
        """Each key of subprocess_specs, in order, and whether it holds a spec; to be left as is."""
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

    # The whole

    def header(self, str key not None):
        """The header under another cache key; the body is the same under every key."""
        return pack_header(
            key, self.digest, self.size - self.body, self.count, self.root, self.process_buckets,
            self.element_buckets, self.tail_length, self.roster_length, self.lists_length)

    def body_bytes(self):
        """The body, every part of it known to be good."""
        cdef Pack checked = self if self.whole else self.checked()
        return memoryview(checked.head)[checked.body:]

    def check(self):
        """Check every part; a Fault names the first that is damaged."""
        self.checked()

    cdef Pack checked(self):
        """The whole of the pack in memory, every part of it checked."""
        cdef Pack whole = self
        cdef Entry entry
        cdef list lists = []
        cdef uint64_t at
        cdef uint32_t index
        if not self.whole:
            whole = Pack.in_memory(self.read(0, self.size))
            whole.where = self.where
        at = whole.verify(0, self.tail_length)
        for _ in range(self.process_buckets):
            at = whole.verify_bucket(at, lists)
        for _ in range((self.count + CHUNK_ENTRIES - 1) // CHUNK_ENTRIES):
            at = whole.verify(at, CHUNK)
        for _ in range(self.element_buckets):
            at = whole.verify_bucket(at, lists)
        at = whole.verify(at, self.roster_length)
        for start, length in sorted(lists):
            if start != at:
                raise Fault("lists", pack=self.where)
            at = whole.verify(at, length)
        for index in range(self.count):
            whole.entry(index, &entry)
            if entry.offset != at:
                raise Fault("place", pack=self.where, index=index)
            at = whole.verify(at, entry.record_length)
            at = whole.verify(at, entry.spec_length)
        if at != self.size - self.body:
            raise Fault("end", pack=self.where)
        return whole

    cdef uint64_t verify(self, uint64_t offset, uint64_t length) except 0:
        """Check the part of a whole pack at an offset; where the next one starts."""
        cdef const unsigned char* start = self.part(offset, length)
        if checksum(self.k0, offset, start, length) != load64(start + length):
            raise Fault("checksum", pack=self.where, byte=self.body + offset)
        return offset + length + CHECKSUM

    cdef uint64_t verify_bucket(self, uint64_t offset, list lists) except 0:
        """The same of a bucket; `lists` gets the places of the lists that its slots name."""
        cdef uint64_t end = self.verify(offset, BUCKET)
        cdef const unsigned char* at = self.part(offset, BUCKET)
        cdef uint32_t count
        for _ in range(SLOTS):
            count = load32(at + 16)
            if count > 1:
                lists.append((load64(at + 8), 4 * <uint64_t>count))
            at += SLOT
        return end
