"""Follows references to find which processes a unit needs.

`Graph` knows processes by index. It reads the references of one process at a time, so it reads what
the unit contains and not the whole workflow.

Every walk is a loop over a queue (breadth first). Cycles do not matter, and depth needs no C stack.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from .layout cimport BY_EVENTS, CALL, ELEMENT_IDS, LEADS, NOWHERE, TRIGGER, load32
from .lookup cimport Lookup
from .memory cimport more
from .records cimport Entry, Record

from .fault import Fault

KINDS = ("call", "embedded", "trigger")
DEFERS = {"calls": DEFER_CALLS, "all": DEFER_ALL, "nothing": DEFER_NOTHING}

cdef uint32_t FEW = 64


cdef class IndexSet:

    def __cinit__(self, uint32_t count):
        self.count = count
        self.marks = <unsigned char*>calloc(<size_t>count + 1, 1)
        if self.marks == NULL:
            raise MemoryError()

    def __dealloc__(self):
        free(self.marks)
        free(self.items)

    cdef bint has(self, uint32_t index) noexcept:
        return index < self.count and self.marks[index]

    cdef int add(self, uint32_t index) except -1:
        if index >= self.count or self.marks[index]:
            return 0
        self.items = <uint32_t*>more(self.items, self.size, &self.capacity, sizeof(uint32_t))
        self.marks[index] = 1
        self.items[self.size] = index
        self.size += 1
        return 1


cdef class Graph(Lookup):
    """A link is two 32-bit numbers (kind, target), and a caller is one, as in a pack."""

    cdef int own(self, uint32_t index, bytes element, IndexSet members) except -1:
        """Add what an element of a process refers to. Returns 0 if there is no such element."""
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

    cdef bint start(self, IndexSet members, uint32_t root) except -1:
        """Add the processes that `root` leads to and that events start.

        Returns whether `root` is one of them. Triggers do not count: the root of the workflow
        refers to the processes that it triggers.
        """
        cdef IndexSet leading
        cdef uint32_t done = 0, count, position, target
        cdef const unsigned char* link
        cdef bint back = False
        cdef Entry entry
        self.entry(root, &entry)
        if not entry.flags & LEADS:
            return False
        leading = IndexSet(self.count)
        leading.add(root)
        while done < leading.size:
            link = self.links(leading.items[done], &count)
            done += 1
            for position in range(count):
                target = load32(link + 8 * position + 4)
                if target == NOWHERE or load32(link + 8 * position) == TRIGGER:
                    continue
                self.entry(target, &entry)
                if entry.flags & BY_EVENTS:
                    back = back or target == root
                    members.add(target)
                if entry.flags & LEADS:
                    leading.add(target)
        return back

    cdef bint close(self, IndexSet members, uint32_t root, int defer, bint specs) except -1:
        """Add what the members need, and what those need. Returns whether one refers to `root`.

        With `specs`, also read the specs of the members.
        """
        cdef uint32_t done = 0, count, position, kind, target
        cdef const unsigned char* link
        cdef bint back = False
        while done < members.size:
            if specs:
                self.prepare(members.items[done], defer != DEFER_ALL)
            if defer == DEFER_ALL:
                done += 1
                continue
            link = self.links(members.items[done], &count)
            for position in range(count):
                kind = load32(link + 8 * position)
                target = load32(link + 8 * position + 4)
                if target != NOWHERE and (kind != CALL or defer == DEFER_NOTHING):
                    back = back or target == root
                    members.add(target)
            done += 1
        return back

    cdef int spread(self, IndexSet members, uint32_t position, IndexSet within) except -1:
        """Add the targets of one member, if they are in `within`."""
        cdef uint32_t count, number, target
        cdef const unsigned char* link = self.links(members.items[position], &count)
        for number in range(count):
            target = load32(link + 8 * number + 4)
            if target != NOWHERE and (within is None or within.has(target)):
                members.add(target)
        return 0

    cdef int gather(self, IndexSet members, uint32_t position, IndexSet within) except -1:
        """Add the callers of one member, if they are in `within`."""
        cdef uint32_t count, number, caller
        cdef const unsigned char* item = self.callers(members.items[position], &count)
        for number in range(count):
            caller = load32(item + 4 * number)
            if within is None or within.has(caller):
                members.add(caller)
        return 0

    cdef IndexSet paths(self, uint32_t start, bytes element):
        """Every process on a path from `start` to an owner of `element`; empty without a path.

        Two walks take turns: forward from `start` and backward from the owners. When one ends, the
        other ends too, so the cost is at most twice that of the shorter walk, plus the result. If
        there are many owners, the walk forward begins alone. If it ends soon, the owners need not
        be listed.
        """
        cdef IndexSet forward = IndexSet(self.count)
        cdef IndexSet backward = IndexSet(self.count)
        cdef IndexSet found = IndexSet(self.count)
        cdef uint32_t ahead = 0, behind = 0, position = 0
        cdef Py_ssize_t tried = 0, total
        cdef list candidates
        forward.add(start)
        candidates = self.candidates(ELEMENT_IDS, element, FEW)
        if candidates is None:
            while ahead < forward.size and ahead < FEW:
                self.spread(forward, ahead, None)
                ahead += 1
            candidates = []
            if ahead < forward.size:
                candidates = self.candidates(ELEMENT_IDS, element, NOWHERE)
        total = len(candidates)
        while ahead < forward.size and (tried < total or behind < backward.size):
            self.spread(forward, ahead, None)
            ahead += 1
            if behind < backward.size:
                self.gather(backward, behind, None)
                behind += 1
            else:
                if self.owns(candidates[tried], element):
                    backward.add(candidates[tried])
                tried += 1
        if ahead == forward.size:
            for position in range(forward.size):
                if self.owns(forward.items[position], element):
                    found.add(forward.items[position])
            position = 0
            while position < found.size:
                self.gather(found, position, forward)
                position += 1
        elif backward.has(start):
            found.add(start)
            while position < found.size:
                self.spread(found, position, backward)
                position += 1
        return found

    cdef bint refers(self, IndexSet members, uint32_t target) except -1:
        """Whether one of the members refers to `target`."""
        cdef uint32_t position, number, count
        cdef const unsigned char* link
        for position in range(members.size):
            link = self.links(members.items[position], &count)
            for number in range(count):
                if load32(link + 8 * number + 4) == target:
                    return True
        return False
