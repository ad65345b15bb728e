"""The text of a saved state -> where its tasks and subprocesses are, and what is settled.

A subprocess is settled when it is completed, all of its tasks are finished, and all subprocesses
at its tasks are settled. A `State` reads the text once and keeps a row of numbers for each task and
each subprocess. It makes no Python objects.

The text must be JSON as `lenient` reads it, which `json` reads too. Its tasks and subprocesses must
be as SpiffWorkflow writes them: ids are UUIDs, no id is there twice, keys are neither repeated nor
escaped. Any other text is `Uncut`, and the caller decodes that state whole, which is always right.
A subprocess that is unusual in another way counts as not settled.

Work and memory are proportional to the text. Nothing recurses. A State never changes.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memset

from .layout cimport NOWHERE, is_digit, load64, siphash13
from .lenient cimport after_value, first_member, next_member, skip
from .memory cimport room
from .text cimport Text
from .tokens cimport after_plain, is_utf8

import os

cdef Py_ssize_t LIMIT = 0xFFFFFFFF  # places are 32 bits wide

# Ids are hashed with a key that nobody knows, so that nobody can choose ids that crowd the table.
cdef bytes secret = os.urandom(16)
cdef uint64_t SECRET0 = load64(<const unsigned char*><char*>secret)
cdef uint64_t SECRET1 = load64(<const unsigned char*><char*>secret + 8)


cdef enum Field:
    OTHER = 0
    TASKS = 1
    SUBPROCESSES = 2
    COMPLETED = 4
    SPEC = 8
    TYPENAME = 16
    PARENT_TASK_ID = 32
    ID = 64
    STATE = 128
    TASK_SPEC = 256
    LAST_STATE_CHANGE = 512
    CHILDREN = 1024


cdef struct Scan:
    const unsigned char* start
    const unsigned char* end
    bint writes_completed
    bint no_memory
    Found* found


cdef inline const unsigned char* after_field(
    Scan* s, const unsigned char* at, uint32_t* field
) noexcept nogil:
    """A key that must not be escaped, and its colon."""
    cdef const unsigned char* start = at + 1
    if at[0] != c'"':
        return NULL
    at = after_plain(start, s.end)
    if at[0] != c'"':
        return NULL
    field[0] = field_of(start, at - start)
    at = skip(at + 1)
    return skip(at + 1) if at[0] == c":" else NULL


cdef inline uint32_t field_of(const unsigned char* key, size_t length) noexcept nogil:
    if length == 2:
        return ID if memcmp(key, b"id", 2) == 0 else OTHER
    if length == 4:
        return SPEC if memcmp(key, b"spec", 4) == 0 else OTHER
    if length == 5:
        if memcmp(key, b"state", 5) == 0:
            return STATE
        return TASKS if memcmp(key, b"tasks", 5) == 0 else OTHER
    if length == 8:
        if memcmp(key, b"children", 8) == 0:
            return CHILDREN
        return TYPENAME if memcmp(key, b"typename", 8) == 0 else OTHER
    if length == 9:
        if memcmp(key, b"task_spec", 9) == 0:
            return TASK_SPEC
        return COMPLETED if memcmp(key, b"completed", 9) == 0 else OTHER
    if length == 12:
        return SUBPROCESSES if memcmp(key, b"subprocesses", 12) == 0 else OTHER
    if length == 17:
        return LAST_STATE_CHANGE if memcmp(key, b"last_state_change", 17) == 0 else OTHER
    if length == 14:
        return PARENT_TASK_ID if memcmp(key, b"parent_task_id", 14) == 0 else OTHER
    return OTHER


cdef inline uint64_t above(uint64_t word, unsigned char most) noexcept nogil:
    """The high bit of each byte that is above a value, if all bytes are below 0x80."""
    return word + (0x7Fu - most) * 0x0101010101010101u


cdef inline bint are_hex(uint64_t word) noexcept nogil:
    """Whether each byte is 0 to 9 or a to f."""
    cdef uint64_t digits = above(word, c"0" - 1) & ~above(word, c"9")
    cdef uint64_t letters = above(word, c"a" - 1) & ~above(word, c"f")
    return ~word & (digits | letters) & 0x8080808080808080u == 0x8080808080808080u


cdef inline bint is_uuid(const unsigned char* at, const unsigned char* end) noexcept nogil:
    """Whether a UUID as `str(uuid)` writes it, and a quote, are there."""
    cdef uint64_t left, right
    if end - at <= UUID or at[UUID] != c'"':
        return False
    left, right = load64(at + 8), load64(at + 16)     # -xxxx-xx and xx-xxxx-
    if left & 0x0000FF00000000FFu != 0x00002D000000002Du or (
            right & 0xFF00000000FF0000u != 0x2D000000002D0000u):
        return False
    # What was seen to be a dash becomes a digit.
    return (are_hex(load64(at)) and are_hex(left ^ 0x00001D000000001Du)
            and are_hex(right ^ 0x1D000000001D0000u) and are_hex(load64(at + 24))
            and are_hex(load64(at + UUID - 8)))


cdef inline const unsigned char* after_id(
    Scan* s, const unsigned char* at, const unsigned char** id
) noexcept nogil:
    """A key that is a UUID, and its colon."""
    if at[0] != c'"' or not is_uuid(at + 1, s.end):
        return NULL
    id[0] = at + 1
    at = skip(at + UUID + 2)
    return skip(at + 1) if at[0] == c":" else NULL


cdef inline uint32_t small_number(const unsigned char* at, Py_ssize_t length) noexcept nogil:
    """A whole number of up to three digits; 0 where it is something else."""
    cdef uint32_t number = 0
    cdef Py_ssize_t place
    if length > 3:
        return 0
    for place in range(length):
        if not is_digit(at[place]):
            return 0
        number = 10 * number + at[place] - c"0"
    return number


cdef const unsigned char* after_task(
    Scan* s, const unsigned char* at, int depth, const unsigned char* id, Process* process
) noexcept nogil:
    cdef uint32_t field, seen = 0, state
    cdef const unsigned char* value
    cdef void* tasks
    cdef Task task
    cdef bint more
    task.id_at = <uint32_t>(id - s.start)
    task.name_at = task.time_at = 0
    task.childless = False
    if at[0] != c"{":
        return NULL
    more = first_member(&at)
    while more:
        value = at = after_field(s, at, &field)
        if at == NULL or field & seen:
            return NULL
        seen |= field
        at = after_value(at, s.end, depth + 1)
        if at == NULL:
            return NULL
        if field == ID:
            if at - value != UUID + 2 or memcmp(value + 1, id, UUID) != 0:
                return NULL
        elif field == STATE:
            state = small_number(value, at - value)
            process.states |= state
            if not (state == 64 or state == 128 or state == 256):
                process.settled = False
        elif field == TASK_SPEC:
            if value[0] != c'"':
                return NULL
            task.name_at = <uint32_t>(value - s.start)
        elif field == CHILDREN:
            task.childless = value[0] == c"[" and skip(value + 1)[0] == c"]"
        elif field == LAST_STATE_CHANGE and (is_digit(value[0]) or value[0] == c"-"):
            task.time_at = <uint32_t>(value - s.start)
        more = next_member(&at)
    if not (seen & ID and task.name_at):
        return NULL
    if not (seen & STATE and task.time_at):
        process.settled = False
    tasks = room(s.found.tasks, s.found.task_count, &s.found.task_room, sizeof(Task))
    if tasks == NULL:
        s.no_memory = True
        return NULL
    s.found.tasks = <Task*>tasks
    s.found.tasks[s.found.task_count] = task
    s.found.task_count += 1
    return at


cdef const unsigned char* after_tasks(
    Scan* s, const unsigned char* at, int depth, Process* process
) noexcept nogil:
    cdef const unsigned char* id
    cdef bint more
    if at[0] != c"{":
        return NULL
    process.first = s.found.task_count
    more = first_member(&at)
    while more:
        at = after_id(s, at, &id)
        if at == NULL:
            return NULL
        at = after_task(s, at, depth + 1, id, process)
        more = next_member(&at)
    process.count = s.found.task_count - process.first
    return at


cdef const unsigned char* after_process(
    Scan* s, const unsigned char* at, int depth, Process* process
) noexcept nogil:
    """A subprocess, whose id is known; whether it may be settled, as far as it tells by itself."""
    cdef uint32_t field, seen = 0
    cdef const unsigned char* start = at
    cdef const unsigned char* value
    cdef bint more
    if at[0] != c"{":
        return NULL
    process.settled = True
    more = first_member(&at)
    while more:
        value = at = after_field(s, at, &field)
        if at == NULL or field & seen:
            return NULL
        seen |= field
        if field == TASKS:
            at = after_tasks(s, at, depth + 1, process)
        else:
            at = after_value(at, s.end, depth + 1)
        if at == NULL:
            return NULL
        if field == COMPLETED:
            if value[0] != c"t":
                process.settled = False
        elif field == SPEC:
            if value[0] != c'"':
                process.settled = False
        elif field == TYPENAME and value[0] == c'"':
            process.typename_at = <uint32_t>(value - s.start)
        elif field == PARENT_TASK_ID:
            if at - value != UUID + 2 or memcmp(value + 1, s.start + process.id_at, UUID) != 0:
                process.settled = False
        more = next_member(&at)
    if at == NULL or not seen & TASKS:
        return NULL
    if not (seen & SPEC and process.typename_at and seen & PARENT_TASK_ID
            and (seen & COMPLETED != 0) == s.writes_completed):
        process.settled = False
    process.at = <uint32_t>(start - s.start)
    process.length = <uint32_t>(at - start)
    return at


cdef int add(Scan* s, Process* process) noexcept nogil:
    cdef void* processes = room(
        s.found.processes, s.found.process_count, &s.found.process_room, sizeof(Process))
    if processes == NULL:
        s.no_memory = True
        return -1
    s.found.processes = <Process*>processes
    s.found.processes[s.found.process_count] = process[0]
    s.found.process_count += 1
    return 0


cdef const unsigned char* after_subprocesses(Scan* s, const unsigned char* at) noexcept nogil:
    cdef const unsigned char* id
    cdef Process process
    cdef bint more
    if at[0] != c"{":
        return NULL
    s.found.opening = <uint32_t>(at + 1 - s.start)
    more = first_member(&at)
    while more:
        at = after_id(s, at, &id)
        if at == NULL:
            return NULL
        memset(&process, 0, sizeof(process))
        process.id_at = <uint32_t>(id - s.start)
        process.parent = NOWHERE
        at = after_process(s, at, 2, &process)
        if at == NULL or add(s, &process) < 0:
            return NULL
        more = next_member(&at)
    if at != NULL:
        s.found.closing = <uint32_t>(at - 1 - s.start)
    return at


cdef const unsigned char* after_state(Scan* s, const unsigned char* at) noexcept nogil:
    cdef uint32_t field, seen = 0
    cdef Process root
    cdef bint more
    if at[0] != c"{":
        return NULL
    memset(&root, 0, sizeof(root))
    if add(s, &root) < 0:
        return NULL
    more = first_member(&at)
    while more:
        at = after_field(s, at, &field)
        if at == NULL or field & seen:
            return NULL
        seen |= field
        if field == TASKS:
            at = after_tasks(s, at, 1, &root)
        elif field == SUBPROCESSES:
            at = after_subprocesses(s, at)
        else:
            at = after_value(at, s.end, 1)
        more = next_member(&at)
    if at == NULL or seen & (TASKS | SUBPROCESSES) != TASKS | SUBPROCESSES:
        return NULL
    s.found.processes[0] = root
    return skip(at)


class Uncut(ValueError):
    """The text is not as the text of a state must be to be cut."""


cdef void shrink(void** array, size_t size) noexcept:
    """Give back what an array has not needed."""
    cdef void* smaller = realloc(array[0], size) if size else NULL
    if smaller != NULL:
        array[0] = smaller


cdef class State:
    """A state's text, and where in it what is. Process 0 is the root.

    Raises Uncut where the text is not as it must be.
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
        """Read `source`; whether it is as it must be."""
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
        cdef uint32_t slot = <uint32_t>siphash13(SECRET0, SECRET1, id, UUID) & self.mask
        cdef uint32_t task
        while self.slots[slot]:
            task = self.slots[slot] - 1
            if memcmp(self.data + self.found.tasks[task].id_at, id, UUID) == 0:
                return task
            slot = (slot + 1) & self.mask
        return NOWHERE

    cdef uint32_t process_of(self, uint32_t task) noexcept nogil:
        """The process that a task is of."""
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
        """Make the table of tasks; 0 where an id is there twice."""
        cdef uint32_t task, slot, count = self.found.task_count
        cdef uint64_t size = 4
        cdef const unsigned char* id
        while size < 2 * <uint64_t>count:
            size *= 2
        self.slots = <uint32_t*>calloc(size, sizeof(uint32_t))
        if self.slots == NULL:
            raise MemoryError()
        self.mask = <uint32_t>(size - 1)
        with nogil:
            for task in range(count):
                id = self.data + self.found.tasks[task].id_at
                slot = <uint32_t>siphash13(SECRET0, SECRET1, id, UUID) & self.mask
                while self.slots[slot]:
                    if memcmp(self.data + self.found.tasks[self.slots[slot] - 1].id_at, id,
                              UUID) == 0:
                        return 0
                    slot = (slot + 1) & self.mask
                self.slots[slot] = task + 1
        return 1

    cdef int connect(self) except -1:
        """Find out which subprocesses are where; 0 where two of them have one id."""
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
        """Note the subprocesses at the tasks of each process."""
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
        """Go down from the root, then up again to see below what all is settled."""
        cdef Process* processes = self.found.processes
        cdef uint32_t number = 0, place, kid, waiting = 0, count = self.found.process_count
        # What waits is kept at the end of `reached`. Nobody has two parents, so there is room.
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
