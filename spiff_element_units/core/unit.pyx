"""A pack -> units: which processes a unit contains, and its text.

The rules are in `docs/unit-rules.md`: a unit contains what its elements need and nothing else. The
text consists of bytes of the pack. Nothing is parsed or encoded.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy

from .graph cimport DEFER_ALL, DEFER_CALLS, IndexSet
from .layout cimport ASCII, is_ascii
from .memory cimport more
from .pack cimport Pack
from .records cimport Record

from .fault import Fault
from .graph import DEFERS

cdef extern from "Python.h":
    str PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    void* PyUnicode_DATA(object text)


cdef struct Piece:
    const void* data
    size_t length


cdef class _Pieces:
    """Pieces of memory to join. The caller keeps the memory alive."""

    cdef Piece* pieces
    cdef uint32_t count, capacity
    cdef uint64_t length
    cdef bint ascii

    def __cinit__(self):
        self.ascii = True

    def __dealloc__(self):
        free(self.pieces)

    cdef int add(self, const void* data, uint64_t length, bint ascii) except -1:
        self.pieces = <Piece*>more(self.pieces, self.count, &self.capacity, sizeof(Piece))
        self.pieces[self.count].data = data
        self.pieces[self.count].length = length
        self.count += 1
        self.length += length
        self.ascii = self.ascii and ascii
        return 0

    cdef str join(self):
        """The pieces as text. ASCII is copied once, and other bytes must be UTF-8."""
        cdef bytes encoded
        cdef unsigned char* out
        cdef size_t position
        cdef str text
        if self.ascii:
            text = PyUnicode_New(self.length, 127)
            out = <unsigned char*>PyUnicode_DATA(text)
        else:
            encoded = PyBytes_FromStringAndSize(NULL, self.length)
            out = <unsigned char*>PyBytes_AS_STRING(encoded)
        for position in range(self.count):
            memcpy(out, self.pieces[position].data, self.pieces[position].length)
            out += self.pieces[position].length
        if self.ascii:
            return text
        return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(encoded), self.length, NULL)


cdef bint refers_to(Pack pack, uint32_t index, bytes element, uint32_t target) except -1:
    """Whether the process's own element refers to `target`."""
    cdef IndexSet found = IndexSet(pack.count)
    pack.own(index, element, found)
    return found.has(target)


cdef IndexSet select(Pack pack, str process_id, tuple element_ids, int defer, bint specs,
                     uint32_t* root, bint* again):
    """The processes of a unit, the requested one first. `again`: one of them refers to it."""
    cdef IndexSet members = IndexSet(pack.count), found
    cdef uint32_t position
    cdef bytes name
    root[0] = pack.find(process_id)
    again[0] = False
    members.add(root[0])
    if specs:
        pack.prepare(root[0], defer != DEFER_ALL)
    for element_id in element_ids:
        if element_id == process_id:
            continue
        name = element_id.encode("utf-8", "surrogatepass")
        if pack.own(root[0], name, members):
            again[0] = again[0] or refers_to(pack, root[0], name, root[0])
            continue
        found = pack.paths(root[0], name)
        if not found.size:
            raise Fault("no element", element=element_id)
        again[0] = again[0] or pack.refers(found, root[0])
        for position in range(found.size):
            members.add(found.items[position])
    if defer == DEFER_CALLS and root[0] != pack.root and pack.start(members, root[0]):
        again[0] = True
    if pack.close(members, root[0], defer, specs):
        again[0] = True
    return members


cdef list ranked(Pack pack, IndexSet members, uint32_t root, bint again):
    """The indexes of the subprocess specs of a unit, in the caller's order."""
    cdef list ranks = []
    cdef uint32_t position, index
    for position in range(members.size):
        index = members.items[position]
        if index != root or again:
            ranks.append(<uint64_t>pack.record(index).entry.rank << 32 | index)
    ranks.sort()
    return [<uint32_t>(<uint64_t>rank & 0xFFFFFFFFu) for rank in ranks]


cdef int add_spec(Pack pack, _Pieces pieces, uint32_t index, Record record) except -1:
    return pieces.add(
        pack.spec(index, record), record.entry.spec_length, record.entry.flags & ASCII)


def unit(
    Pack pack not None, str process_id not None, tuple element_ids not None, str defer not None,
    bytes version not None,
):
    """The unit as JSON text. `version` is its "serializer_version" as JSON."""
    cdef uint32_t root
    cdef bint again
    cdef _Pieces pieces = _Pieces()
    cdef IndexSet members = select(
        pack, process_id, element_ids, DEFERS[defer], True, &root, &again)
    cdef Record record
    cdef const unsigned char* tail = pack.part(0, pack.tail_length)
    cdef const unsigned char* key
    cdef const char* separator = ""
    pieces.add(<const char*>b'{"spec":', 8, True)
    add_spec(pack, pieces, root, pack.record(root))
    pieces.add(<const char*>b',"subprocess_specs":{', 21, True)
    for index in ranked(pack, members, root, again):
        record = pack.record(index)
        key = record.heap + record.id_length
        pieces.add(separator, 1 if separator[0] else 0, True)
        pieces.add(key, record.key_length, is_ascii(key, record.key_length))
        pieces.add(<const char*>b":", 1, True)
        add_spec(pack, pieces, index, record)
        separator = ","
    pieces.add(<const char*>b"}", 1, True)
    pieces.add(<const char*>b',"serializer_version":', 22, True)
    pieces.add(<const char*>version, len(version), True)
    pieces.add(tail, pack.tail_length, is_ascii(tail, pack.tail_length))
    pieces.add(<const char*>b"}", 1, True)
    if pieces.length > 2 * pack.size + 1024:
        raise Fault("overlap", pack=pack.where)
    try:
        return pieces.join()
    except UnicodeDecodeError as error:
        raise Fault("UTF-8", pack=pack.where) from error


def needs(
    Pack pack not None, str process_id not None, tuple element_ids not None, str defer not None
):
    """The ids of the processes of a unit: the requested one, then the others in your order."""
    cdef uint32_t root
    cdef bint again
    cdef IndexSet members = select(
        pack, process_id, element_ids, DEFERS[defer], False, &root, &again)
    ids = [pack.id_of(index) for index in ranked(pack, members, root, False)]
    return tuple(dict.fromkeys([process_id, *ids]))
