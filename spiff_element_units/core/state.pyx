"""The text of a saved state -> which subprocess is at which task, and what is settled.

A subprocess is settled when it is completed, all of its tasks are finished, its last task is one of
them or none, and all subprocesses at its tasks are settled.

The text must be JSON as `lenient` reads it, which `json` reads too, and as `tasks` says. No task id
may be there twice. Any other text is `Uncut`, and the caller decodes that state whole, which is
always right.

Time and memory are proportional to the text. Nothing recurses. A State never changes.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp

from .layout cimport NOWHERE, load64, siphash13
from .lenient cimport skip
from .tasks cimport UUID, Process, Scan, Task, after_state
from .text cimport Text
from .tokens cimport is_utf8

import os

cdef Py_ssize_t LIMIT = 0xFFFFFFFF  # places are 32 bits wide

# Ids are hashed with a key that nobody knows, so that nobody can choose ids that crowd the table.
cdef bytes secret = os.urandom(16)
cdef uint64_t SECRET0 = load64(<const unsigned char*><char*>secret)
cdef uint64_t SECRET1 = load64(<const unsigned char*><char*>secret + 8)


class Uncut(ValueError):
    """The text of this state cannot be cut."""


cdef void shrink(void** array, size_t size) noexcept:
    """Free the memory that an array has not used."""
    cdef void* smaller = realloc(array[0], size) if size else NULL
    if smaller != NULL:
        array[0] = smaller


cdef inline uint32_t slot_of(State state, const unsigned char* id) noexcept nogil:
    """The slot of a task in the table, or the free slot for it."""
    cdef uint32_t slot = <uint32_t>siphash13(SECRET0, SECRET1, id, UUID) & state.mask
    while state.slots[slot] and memcmp(
            state.data + state.found.tasks[state.slots[slot] - 1].id_at, id, UUID) != 0:
        slot = (slot + 1) & state.mask
    return slot


cdef class State:
    """The text of a state, and the places of its tasks and subprocesses. Process 0 is the root.

    Raises Uncut if the text cannot be cut.
    """

    def __cinit__(self, text, bint writes_completed):
        self.source = Text(text)
        if not (self.read(writes_completed) and self.number_tasks() and self.connect()):
            raise Uncut()

    def __dealloc__(self):
        free(self.found.processes)
        free(self.found.tasks)
        free(self.slots)
        free(self.kids)
        free(self.reached)

    cdef bint read(self, bint writes_completed) except -1:
        """Read `source`. Returns whether it can be cut."""
        cdef const unsigned char* at = NULL
        cdef Scan s
        if self.source.length > LIMIT:
            return False
        s.start = self.data = self.source.data
        s.end = s.start + self.source.length
        s.writes_completed = writes_completed
        s.no_memory = False
        s.found = &self.found
        with nogil:
            if self.source.ascii or is_utf8(s.start, s.end):
                at = after_state(&s, skip(s.start))
        if s.no_memory:
            raise MemoryError()
        shrink(<void**>&self.found.tasks, self.found.task_count * sizeof(Task))
        shrink(<void**>&self.found.processes, self.found.process_count * sizeof(Process))
        return at == s.end

    cdef uint32_t task_of(self, const unsigned char* id) noexcept nogil:
        """The number of a task, or NOWHERE."""
        cdef uint32_t number = self.slots[slot_of(self, id)]
        return number - 1 if number else NOWHERE

    cdef uint32_t process_of(self, uint32_t task) noexcept nogil:
        """The process of a task."""
        cdef Process* processes = self.found.processes
        cdef uint32_t low = 1, high = self.found.process_count, middle
        if processes[0].first <= task < processes[0].first + processes[0].count:
            return 0
        while high - low > 1:
            middle = low + (high - low) // 2
            if processes[middle].first <= task:
                low = middle
            else:
                high = middle
        return low

    cdef int number_tasks(self) except -1:
        """Make the table of tasks. Returns 0 if an id is there twice."""
        cdef uint32_t task, slot, count = self.found.task_count
        cdef uint64_t size = 4
        while size < 2 * <uint64_t>count:
            size *= 2
        self.slots = <uint32_t*>calloc(size, sizeof(uint32_t))
        if self.slots == NULL:
            raise MemoryError()
        self.mask = <uint32_t>(size - 1)
        with nogil:
            for task in range(count):
                slot = slot_of(self, self.data + self.found.tasks[task].id_at)
                if self.slots[slot]:
                    return 0
                self.slots[slot] = task + 1
        return 1

    cdef int connect(self) except -1:
        """Find the task of each subprocess. Returns 0 if two subprocesses have the same id."""
        cdef Process* processes = self.found.processes
        cdef uint32_t count = self.found.process_count, number, task
        cdef uint32_t* at_task = <uint32_t*>calloc(self.found.task_count + 1, sizeof(uint32_t))
        self.kids = <uint32_t*>malloc(count * sizeof(uint32_t))
        self.reached = <uint32_t*>malloc(count * sizeof(uint32_t))
        try:
            if at_task == NULL or self.kids == NULL or self.reached == NULL:
                raise MemoryError()
            for number in range(1, count):
                processes[number].task = task = self.task_of(self.data + processes[number].id_at)
                if task != NOWHERE:
                    if at_task[task]:
                        return 0
                    at_task[task] = number
            self.find_kids(at_task)
            self.walk()
            return 1
        finally:
            free(at_task)

    cdef void find_kids(self, uint32_t* at_task) noexcept nogil:
        """Find the subprocesses at the tasks of each process."""
        cdef Process* process
        cdef uint32_t number, task, count = 0
        for number in range(self.found.process_count):
            process = &self.found.processes[number]
            process.first_kid = count
            for task in range(process.first, process.first + process.count):
                if at_task[task]:
                    self.found.processes[at_task[task]].parent = number
                    self.kids[count] = at_task[task]
                    count += 1
            process.kid_count = count - process.first_kid

    cdef void walk(self) noexcept nogil:
        """Go down from the root, then up again to find out which subprocesses are settled."""
        cdef Process* processes = self.found.processes
        cdef uint32_t number = 0, place, kid, waiting = 0, count = self.found.process_count
        # Subprocesses that wait are at the end of `reached`. There is room, because none has two
        # parents.
        while True:
            for kid in range(processes[number].kid_count, 0, -1):
                waiting += 1
                self.reached[count - waiting] = self.kids[processes[number].first_kid + kid - 1]
            if not waiting:
                break
            number = self.reached[count - waiting]
            waiting -= 1
            processes[number].reached = True
            self.reached[self.reached_count] = number
            self.reached_count += 1
        for place in range(self.reached_count, 0, -1):
            number = self.reached[place - 1]
            if not processes[number].settled:
                processes[processes[number].parent].settled = False
            if processes[number].drifts or self.found.tasks[processes[number].task].childless:
                processes[processes[number].parent].drifts = True
        for number in range(1, count):
            if not processes[number].reached:
                processes[number].settled = False
