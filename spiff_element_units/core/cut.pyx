"""Cuts settled subprocesses out of the text of a state, and puts them back.

`cut_state` cuts the text of a state. A `Cut` has the text without the settled subprocesses, for the
serializer's decoder. It answers questions about the settled ones from their text, and makes no
Python object for a task or a subprocess that nobody asks for. `splice` puts the subprocesses back.

A text that is not JSON, or that `state` refuses, is not cut: the result is None, and the caller
decodes the whole text, which is always right. A Cut never changes, and several threads may use it.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.math cimport INFINITY
from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy

from .layout cimport NOWHERE, xxh64
from .layout cimport has_long_numbers as long_numbers
from .lenient cimport after_string
from .state cimport State
from .tasks cimport UUID, Process
from .text cimport Text
from .tokens cimport PyOS_string_to_double, after_plain

import json

from .fault import Fault
from .state import Uncut

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 most)
    void* PyUnicode_DATA(object text)


cdef struct Chunk:
    const unsigned char* data
    size_t length


cdef class Chunks:
    """Parts of texts to join. The caller keeps the texts alive."""
    cdef Chunk* chunks
    cdef size_t count, size
    cdef bint ascii

    def __cinit__(self, size_t most):
        self.chunks = <Chunk*>malloc(most * sizeof(Chunk))
        self.ascii = True
        if self.chunks == NULL:
            raise MemoryError()

    def __dealloc__(self):
        free(self.chunks)

    cdef void add(self, const unsigned char* data, size_t length) noexcept:
        self.chunks[self.count].data = data
        self.chunks[self.count].length = length
        self.count += 1
        self.size += length

    cdef str joined(self):
        cdef object text = PyUnicode_New(self.size, 127) if self.ascii else bytearray(self.size)
        cdef unsigned char* out
        cdef size_t i
        if self.ascii:
            out = <unsigned char*>PyUnicode_DATA(text)
        else:
            out = <unsigned char*>PyByteArray_AS_STRING(text)
        for i in range(self.count):
            memcpy(out, self.chunks[i].data, self.chunks[i].length)
            out += self.chunks[i].length
        return text if self.ascii else (<bytearray>text).decode()


cdef class Cut(State):
    """The text of a state that is cut. Subprocesses have numbers in the order of the text.

    The number of the root is -1. Any other number raises IndexError. Ids are UUIDs as `str` writes
    them. The constructor raises Uncut if `cut_state` returns None.
    """

    def __len__(self):
        return self.found.process_count - 1

    cdef Process* process(self, Py_ssize_t number) except NULL:
        if not -1 <= number < <Py_ssize_t>self.found.process_count - 1:
            raise IndexError(f"the state has no subprocess {number}")
        return &self.found.processes[number + 1]

    cdef Process* subprocess(self, Py_ssize_t number) except NULL:
        if number == -1:
            raise IndexError("the root is no subprocess")
        return self.process(number)

    cdef uint32_t find_task(self, str id):
        cdef const char* data
        cdef Py_ssize_t length
        if not id.isascii():
            return NOWHERE
        data = PyUnicode_AsUTF8AndSize(id, &length)
        return self.task_of(<const unsigned char*>data) if length == UUID else NOWHERE

    cdef str slice(self, uint32_t at, Py_ssize_t length):
        return PyUnicode_DecodeUTF8(<const char*>self.data + at, length, NULL)

    cdef str string(self, uint32_t at):
        """The content of a string."""
        cdef const unsigned char* last = self.data + self.source.length
        cdef const unsigned char* end = after_plain(self.data + at + 1, last)
        if end[0] == c'"':
            return self.slice(at + 1, end - self.data - at - 1)
        return json.loads(self.slice(at, after_string(self.data + at, last) - self.data - at))

    cdef bint is_named(self, Process* one, object name, bytes encoded, dict known) except -1:
        """Whether there is a task of an element. `known` caches names with escapes."""
        cdef const unsigned char* last = self.data + self.source.length
        cdef const unsigned char* start
        cdef const unsigned char* end
        cdef uint32_t task, at
        for task in range(one.first, one.first + one.count):
            at = self.found.tasks[task].name_at
            start = self.data + at + 1
            end = after_plain(start, last)
            if end[0] == c'"':
                if (end - start == PyBytes_GET_SIZE(encoded)
                        and memcmp(start, PyBytes_AS_STRING(encoded), end - start) == 0):
                    return True
                continue
            token = start[:after_string(start - 1, last) - start]
            if token not in known:
                known[token] = self.string(at) == name
            if known[token]:
                return True
        return False

    cdef double last_change(self, Process* one) except? -1.0:
        cdef double newest = -INFINITY
        cdef uint32_t task, at
        cdef char* end
        for task in range(one.first, one.first + one.count):
            at = self.found.tasks[task].time_at
            if at:
                newest = max(
                    newest, PyOS_string_to_double(<const char*>self.data + at, &end, NULL))
        return newest

    # The state, and all of its subprocesses

    def head(self):
        """The state without its settled subprocesses. The rest is the same text."""
        cdef Chunks chunks = Chunks(2 * self.found.process_count)
        cdef uint32_t number
        chunks.ascii = self.source.ascii
        chunks.add(self.data, self.found.opening)
        for number in range(1, self.found.process_count):
            if not self.found.processes[number].settled:
                self.add_member(chunks, number)
        chunks.add(self.data + self.found.closing, self.source.length - self.found.closing)
        return chunks.joined()

    cdef void add_member(self, Chunks chunks, uint32_t number) noexcept:
        """A subprocess, and a comma if it is not the first."""
        cdef Process* one = &self.found.processes[number]
        if chunks.count > 1:
            chunks.add(<const unsigned char*>b", ", 2)
        chunks.add(self.data + one.id_at - 1, one.at + one.length - one.id_at + 1)

    def order(self):
        """The subprocesses in the order in which SpiffWorkflow restores them.

        The subprocesses at the tasks of a subprocess follow it. A subprocess that cannot be reached
        from the root is left out, because SpiffWorkflow does not restore it. It is not settled.
        """
        cdef uint32_t place
        return [self.reached[place] - 1 for place in range(self.reached_count)]

    def is_settled(self, Py_ssize_t number):
        return self.subprocess(number).settled

    def drifts(self, Py_ssize_t number):
        """Whether a task without children has a subprocess, in this subprocess or below it.

        From there on, SpiffWorkflow's iterator counts one level too many.
        """
        return self.subprocess(number).drifts

    def id(self, Py_ssize_t number):
        """The id of a subprocess, which is the id of its parent task."""
        return self.slice(self.subprocess(number).id_at, UUID)

    def text(self, Py_ssize_t number):
        """The JSON text of a subprocess, unchanged."""
        cdef Process* one = self.subprocess(number)
        return self.slice(one.at, one.length)

    def parent(self, Py_ssize_t number):
        """The subprocess with the parent task; -1 for the root, None if there is none."""
        cdef uint32_t parent = self.subprocess(number).parent
        return None if parent == NOWHERE else <Py_ssize_t>parent - 1

    def children(self, Py_ssize_t number):
        """The subprocesses at the tasks of a subprocess or the root, in the order of the tasks."""
        cdef Process* one = self.process(number)
        cdef uint32_t kid
        return [self.kids[kid] - 1 for kid in range(one.first_kid, one.first_kid + one.kid_count)]

    def find(self, str subprocess_id not None):
        """The number of the subprocess with an id; None if none can be reached."""
        cdef uint32_t task = self.find_task(subprocess_id), low, high, middle, kid
        cdef Process* one
        if task == NOWHERE:
            return None
        one = &self.found.processes[self.process_of(task)]
        low, high = one.first_kid, one.first_kid + one.kid_count
        while low < high:
            middle = low + (high - low) // 2
            if self.found.processes[self.kids[middle]].task < task:
                low = middle + 1
            else:
                high = middle
        if low == one.first_kid + one.kid_count:
            return None
        kid = self.kids[low]
        if self.found.processes[kid].task != task or not self.found.processes[kid].reached:
            return None
        return kid - 1

    def holder(self, str task_id not None):
        """The subprocess with a task; -1 for the root, None if there is no such task."""
        cdef uint32_t task = self.find_task(task_id)
        return None if task == NOWHERE else <Py_ssize_t>self.process_of(task) - 1

    def typename(self, Py_ssize_t number):
        """The typename of a subprocess; None if it is not a string."""
        cdef uint32_t at = self.subprocess(number).typename_at
        return self.string(at) if at else None

    def task_ids(self, Py_ssize_t number):
        """The ids of the tasks of a subprocess, in their order."""
        cdef Process* one = self.subprocess(number)
        cdef uint32_t task
        return [self.slice(self.found.tasks[task].id_at, UUID)
                for task in range(one.first, one.first + one.count)]

    def names(self, Py_ssize_t number):
        """The names of the elements that a subprocess has tasks of, each once."""
        cdef Process* one = self.subprocess(number)
        cdef uint32_t task
        return list(dict.fromkeys([self.string(self.found.tasks[task].name_at)
                                   for task in range(one.first, one.first + one.count)]))

    def newest(self, Py_ssize_t number):
        """The time of the last change of a task, in seconds; -inf if no task has one."""
        return self.last_change(self.subprocess(number))

    def states(self, Py_ssize_t number):
        """The states of the tasks of a subprocess, as a mask."""
        return self.subprocess(number).states

    def matching(self, uint32_t states, name=None, double since=-INFINITY):
        """The settled subprocesses that match a filter, in the order of the text.

        They have a task in one of the states, a task of the element if a name is given, and a task
        that has changed since a time. These may be different tasks.
        """
        cdef uint32_t number
        cdef bytes encoded = None if name is None else str.encode(name, "utf-8", "surrogatepass")
        cdef dict known = {}
        cdef list found = []
        cdef Process* one
        for number in range(1, self.found.process_count):
            one = &self.found.processes[number]
            if (one.settled and one.states & states
                    and (name is None or self.is_named(one, name, encoded, known))
                    and (since == -INFINITY or self.last_change(one) >= since)):
                found.append(number - 1)
        return found


def cut_state(text, bint writes_completed=True):
    """Cut the text of a state, `str` or `bytes`. Returns None if it must be decoded whole.

    `writes_completed` says whether this SpiffWorkflow writes the member "completed" of a
    subprocess. Version 3.0 does not. There, a subprocess is completed when its tasks are finished.
    """
    try:
        return Cut(text, writes_completed)
    except (Uncut, Fault):      # a lone surrogate is a Fault of a Text, but `json` accepts it
        return None


def splice(head, members, Cut pieces=None):
    """Put settled subprocesses back into a head, which contains the others.

    `members` are all subprocesses in their order. An `int` is the number of one in `pieces`, a
    `str` the id of one in the head, and a tuple the id and the text of one. Returns None if the
    head cannot be cut, if a text has a lone surrogate, or if the ids are not those of the
    subprocesses of the head, each once.
    """
    cdef Cut outer = cut_state(head)
    cdef tuple all_members = tuple(members)
    cdef Chunks chunks
    cdef uint32_t number
    cdef dict there = {}
    cdef list kept = []
    cdef Text text
    if outer is None:
        return None
    for number in range(1, outer.found.process_count):
        there[outer.id(number - 1)] = number
    chunks = Chunks(2 * len(all_members) + 2)
    chunks.ascii = outer.source.ascii and (pieces is None or pieces.source.ascii)
    chunks.add(outer.data, outer.found.opening)
    for member in all_members:
        if isinstance(member, int):
            if pieces is None:
                raise IndexError("there are no pieces")
            pieces.subprocess(member)
            pieces.add_member(chunks, <uint32_t>(<Py_ssize_t>member + 1))
        elif isinstance(member, str):
            if member not in there:
                return None
            outer.add_member(chunks, <uint32_t>there.pop(member))
        else:
            id, value = member
            comma = ", " if chunks.count > 1 else ""
            for part in (f'{comma}"{id}": ', value):
                try:
                    text = Text(part)
                except Fault:
                    return None
                kept.append(text)
                chunks.add(text.data, text.length)
                chunks.ascii = chunks.ascii and text.ascii
    if there:
        return None
    chunks.add(outer.data + outer.found.closing, outer.source.length - outer.found.closing)
    return chunks.joined()


def checksum(text, size_t start=0):
    """The XXH64 of the UTF-8 of a text, from a place on."""
    cdef Text whole = Text(text)
    start = min(start, <size_t>whole.length)
    return xxh64(0, whole.data + start, whole.length - start)


def has_long_numbers(text):
    """Whether a text may contain a whole number that needs more than 64 bits."""
    cdef Text whole
    try:
        whole = Text(text)
    except Fault:               # nobody looks into a text that only `json` reads
        return True
    return bool(long_numbers(whole.data, whole.length))
