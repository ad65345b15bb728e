"""Pack -> units: which processes one holds, and its text.

The rules are those of `docs`: a unit holds what its elements need and nothing else. The text is put
together from the pack's own bytes, without parsing or encoding anything.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from ._graph cimport DEFER_ALL, IndexSet
from ._layout cimport ELEMENT_IDS
from ._pack cimport Entry, Pack, Record

from ._graph import DEFERS
from ._version import __version__

cdef extern from "Python.h":
    str PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    void* PyUnicode_DATA(object text)

cdef bytes VERSION = (
    b',"serializer_version":"spiff-element-units-' + __version__.encode() + b'"')


cdef bint is_ascii(const unsigned char* data, size_t length) noexcept nogil:
    cdef size_t at
    cdef unsigned char seen = 0
    for at in range(length):
        seen |= data[at]
    return seen < 0x80


cdef class _Pieces:
    """Stretches of memory to be joined; who makes them keeps them alive."""

    cdef uint64_t length
    cdef list places

    def __cinit__(self):
        self.places = []

    cdef int add(self, const void* data, uint64_t length) except -1:
        self.places.append((<size_t>data, <size_t>length))
        self.length += length
        return 0

    cdef str join(self):
        """As text. ASCII is copied once; anything else is checked to be UTF-8."""
        cdef bint ascii = True
        cdef bytes encoded
        cdef unsigned char* out
        cdef size_t data, length
        cdef str text
        for data, length in self.places:
            ascii = ascii and is_ascii(<const unsigned char*>data, length)
        if ascii:
            text = PyUnicode_New(self.length, 127)
            out = <unsigned char*>PyUnicode_DATA(text)
        else:
            encoded = PyBytes_FromStringAndSize(NULL, self.length)
            out = <unsigned char*>PyBytes_AS_STRING(encoded)
        for data, length in self.places:
            memcpy(out, <const void*>data, length)
            out += length
        if ascii:
            return text
        return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(encoded), self.length, NULL)


cdef bint refers_to(Pack pack, uint32_t index, bytes element, uint32_t target) except -1:
    """Whether the process's own element refers to `target`."""
    cdef IndexSet found = IndexSet(pack.count)
    pack.own(index, element, found)
    return found.has(target)


cdef IndexSet select(Pack pack, str process_id, tuple element_ids, int defer, bint specs,
                     uint32_t* root, bint* again):
    """The processes of a unit, its own first; `again`: something in it refers to that too.

    KeyError with the id where the process or an element is not to be found.
    """
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
        found = pack.paths(root[0], pack.candidates(ELEMENT_IDS, name), name)
        if not found.size:
            raise KeyError(element_id)
        again[0] = again[0] or pack.refers(found, root[0])
        for position in range(found.size):
            members.add(found.items[position])
    if pack.close(members, root[0], defer, specs):
        again[0] = True
    return members


cdef list ranked(Pack pack, IndexSet members, uint32_t root, bint again):
    """Indexes of the subprocess specs of a unit, in the caller's order."""
    cdef list ranks = []
    cdef Entry entry
    cdef uint32_t position, index
    for position in range(members.size):
        index = members.items[position]
        if index != root or again:
            pack.entry(index, &entry)
            ranks.append((entry.rank, index))
    ranks.sort()
    return [index for _, index in ranks]


cdef int add_spec(Pack pack, _Pieces pieces, uint32_t index) except -1:
    cdef uint64_t length
    cdef const unsigned char* data = pack.spec(index, &length)
    return pieces.add(data, length)


def unit(
    Pack pack not None, str process_id not None, tuple element_ids not None, str defer not None
):
    """The unit as JSON text; KeyError with the id that is not to be found."""
    cdef uint32_t root
    cdef bint again
    cdef _Pieces pieces = _Pieces()
    cdef IndexSet members = select(
        pack, process_id, element_ids, DEFERS[defer], True, &root, &again)
    cdef Record record
    cdef const char* separator = ""
    pieces.add(<const char*>b'{"spec":', 8)
    add_spec(pack, pieces, root)
    pieces.add(<const char*>b',"subprocess_specs":{', 21)
    for index in ranked(pack, members, root, again):
        pack.record(index, &record)
        pieces.add(separator, 1 if separator[0] else 0)
        pieces.add(record.heap + record.id_length, record.key_length)
        pieces.add(<const char*>b":", 1)
        add_spec(pack, pieces, index)
        separator = ","
    pieces.add(<const char*>b"}", 1)
    pieces.add(<const char*>VERSION, len(VERSION))
    pieces.add(pack.part(0, pack.tail_length), pack.tail_length)
    pieces.add(<const char*>b"}", 1)
    if pieces.length > 2 * pack.size + 1024:
        raise pack.corrupt("parts of it overlap")
    try:
        return pieces.join()
    except UnicodeDecodeError as error:
        raise pack.corrupt("a spec in it is not UTF-8") from error


def needs(
    Pack pack not None, str process_id not None, tuple element_ids not None, str defer not None
):
    """The ids of a unit's processes: its own, then the others in the caller's order."""
    cdef uint32_t root
    cdef bint again
    cdef IndexSet members = select(
        pack, process_id, element_ids, DEFERS[defer], False, &root, &again)
    ids = [pack.id_of(index) for index in ranked(pack, members, root, False)]
    return tuple(dict.fromkeys([process_id, *ids]))
