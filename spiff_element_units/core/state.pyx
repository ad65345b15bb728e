"""The text of a saved state -> its settled subprocesses as slices, and the rest.

A state's subprocesses are settled when they are completed, all of their tasks are finished, and
all subprocesses at their tasks are settled. `cut_state` goes through the text once and notes where the
subprocesses are, which tasks and elements each has and what is settled. A `Cut` then gives the text
without what is settled, for the serializer's decoder, and answers questions about the rest from the
text itself. No Python object is made for a task or for a subprocess that is left as text.

What is accepted is JSON that Python's `json` reads too: the letter of RFC 8259 and, as `json` writes
them, NaN, Infinity and surrogates that stand alone. A text in which anything about the tasks or the
subprocesses is not what SpiffWorkflow writes is not cut: ids that are no UUIDs or come twice, keys
that are repeated or escaped. `cut_state` returns None for it, and the caller decodes it whole. That
is always right, so the cutter never has to guess.

Work and memory are proportional to the text. A Cut never changes, and is safe to use from several
threads.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.math cimport INFINITY
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from .layout cimport NOWHERE, is_digit, load64, siphash13, xxh64
from .memory cimport room
from .slicer cimport Text
from .tokens cimport MAX_DEPTH, after_digits, after_plain, hex4, is_space, is_utf8

import json
import os

cdef extern from "Python.h":
    double PyOS_string_to_double(const char* at, char** end, void* overflow) except? -1.0
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 most)
    void* PyUnicode_DATA(object text)

cdef enum:
    UUID = 36               # characters
    LONGEST_NUMBER = 640    # characters; every Python reads whole numbers of so many digits
    COMPLETED = 64          # states of tasks
    ERROR = 128
    CANCELLED = 256

cdef Py_ssize_t LIMIT = 0xFFFFFFFF  # places are 32 bits wide

# Ids are hashed with a key that nobody knows, so that nobody can choose ids that crowd the table.
cdef bytes secret = os.urandom(16)
cdef uint64_t SECRET0 = load64(<const unsigned char*><char*>secret)
cdef uint64_t SECRET1 = load64(<const unsigned char*><char*>secret + 8)


cdef enum Field:
    OTHER = 0
    TASKS = 1
    SUBPROCESSES = 2
    COMPLETED_FIELD = 4
    SPEC = 8
    TYPENAME = 16
    PARENT_TASK_ID = 32
    ID = 64
    STATE = 128
    TASK_SPEC = 256
    LAST_STATE_CHANGE = 512


cdef struct Scan:
    const unsigned char* start
    const unsigned char* end
    bint writes_completed
    bint no_memory
    Found* found


# Tokens, as Python's json reads them


cdef inline const unsigned char* skip(const unsigned char* at) noexcept nogil:
    while is_space(at[0]):
        at += 1
    return at


cdef inline const unsigned char* after_string(
    const unsigned char* at, const unsigned char* end
) noexcept nogil:
    if at[0] != c'"':
        return NULL
    at = after_plain(at + 1, end)
    while at[0] == c"\\":
        if at[1] == c"u":
            if hex4(at + 2) < 0:
                return NULL
            at += 6
        elif (at[1] == c"n" or at[1] == c'"' or at[1] == c"\\" or at[1] == c"t" or at[1] == c"/"
                or at[1] == c"r" or at[1] == c"b" or at[1] == c"f"):
            at += 2
        else:
            return NULL
        at = after_plain(at, end)
    return at + 1 if at[0] == c'"' else NULL


cdef inline const unsigned char* after_number(
    const unsigned char* start, const unsigned char* end
) noexcept nogil:
    cdef const unsigned char* at = start + 1 if start[0] == c"-" else start
    if at[0] == c"I":
        return at + 8 if end - at >= 8 and memcmp(at, b"Infinity", 8) == 0 else NULL
    at = at + 1 if at[0] == c"0" else after_digits(at)
    if at != NULL and at[0] == c".":
        at = after_digits(at + 1)
    if at != NULL and at[0] | 0x20 == c"e":
        at = after_digits(at + 2 if at[1] == c"+" or at[1] == c"-" else at + 1)
    return at if at != NULL and at - start <= LONGEST_NUMBER else NULL


cdef inline const unsigned char* after_scalar(
    const unsigned char* at, const unsigned char* end
) noexcept nogil:
    if at[0] == c'"':
        return after_string(at, end)
    if is_digit(at[0]) or at[0] == c"-" or at[0] == c"I":
        return after_number(at, end)
    if end - at >= 4:
        if memcmp(at, b"null", 4) == 0 or memcmp(at, b"true", 4) == 0:
            return at + 4
        if memcmp(at, b"fals", 4) == 0 and at[4] == c"e":
            return at + 5
        if memcmp(at, b"NaN", 3) == 0:
            return at + 3
    return NULL


cdef inline const unsigned char* after_colon(
    const unsigned char* at, const unsigned char* end
) noexcept nogil:
    """A key and what parts it from its value."""
    at = after_string(at, end)
    if at == NULL:
        return NULL
    at = skip(at)
    return skip(at + 1) if at[0] == c":" else NULL


cdef const unsigned char* after_container(
    const unsigned char* at, const unsigned char* end, int depth
) noexcept nogil:
    """An object or array, with `depth` of them open around it."""
    cdef unsigned char[MAX_DEPTH] closing
    cdef int top = -1, most = MAX_DEPTH - depth - 1
    while True:
        if at[0] | 0x20 == c"{":        # or a bracket
            if top == most:
                return NULL
            top += 1
            closing[top] = at[0] + 2    # ASCII has what closes them two places further
            at = skip(at + 1)
            if at[0] != closing[top]:
                if closing[top] == c"}":
                    at = after_colon(at, end)
                    if at == NULL:
                        return NULL
                continue
        else:
            at = after_scalar(at, end)
            if at == NULL:
                return NULL
            at = skip(at)
        while at[0] == closing[top]:
            top -= 1
            if top < 0:
                return at + 1
            at = skip(at + 1)
        if at[0] != c",":
            return NULL
        at = skip(at + 1)
        if closing[top] == c"}":
            at = after_colon(at, end)
            if at == NULL:
                return NULL


cdef inline const unsigned char* after_value(
    const unsigned char* at, const unsigned char* end, int depth
) noexcept nogil:
    if at[0] | 0x20 == c"{":
        return after_container(at, end, depth)
    return after_scalar(at, end)


# Objects that are read member by member: `more` tells whether `at` is at a key


cdef inline bint first_member(const unsigned char** at) noexcept nogil:
    at[0] = skip(at[0] + 1)
    if at[0][0] != c"}":
        return True
    at[0] += 1
    return False


cdef inline bint next_member(const unsigned char** at) noexcept nogil:
    """After a value; NULL where that was none, or something else follows."""
    if at[0] == NULL:
        return False
    at[0] = skip(at[0])
    if at[0][0] == c",":
        at[0] = skip(at[0] + 1)
        return True
    at[0] = at[0] + 1 if at[0][0] == c"}" else NULL
    return False


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
        return TYPENAME if memcmp(key, b"typename", 8) == 0 else OTHER
    if length == 9:
        if memcmp(key, b"task_spec", 9) == 0:
            return TASK_SPEC
        return COMPLETED_FIELD if memcmp(key, b"completed", 9) == 0 else OTHER
    if length == 12:
        return SUBPROCESSES if memcmp(key, b"subprocesses", 12) == 0 else OTHER
    if length == 17:
        return LAST_STATE_CHANGE if memcmp(key, b"last_state_change", 17) == 0 else OTHER
    if length == 14:
        return PARENT_TASK_ID if memcmp(key, b"parent_task_id", 14) == 0 else OTHER
    return OTHER


cdef inline bint is_uuid(const unsigned char* at) noexcept nogil:
    """Whether a UUID as `str(uuid)` writes it, and a quote, are there."""
    cdef int place
    for place in range(UUID):
        if place == 8 or place == 13 or place == 18 or place == 23:
            if at[place] != c"-":
                return False
        elif not (is_digit(at[place]) or c"a" <= at[place] <= c"f"):
            return False
    return at[UUID] == c'"'


cdef inline const unsigned char* after_id(
    const unsigned char* at, const unsigned char** id
) noexcept nogil:
    """A key that is a UUID, and its colon."""
    if at[0] != c'"' or not is_uuid(at + 1):
        return NULL
    id[0] = at + 1
    at = skip(at + UUID + 2)
    return skip(at + 1) if at[0] == c":" else NULL


cdef inline uint32_t state_of(const unsigned char* at, Py_ssize_t length) noexcept nogil:
    """The state in which a task is finished, or 0."""
    if length == 2 and memcmp(at, b"64", 2) == 0:
        return COMPLETED
    if length == 3:
        if memcmp(at, b"128", 3) == 0:
            return ERROR
        if memcmp(at, b"256", 3) == 0:
            return CANCELLED
    return 0


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
            state = state_of(value, at - value)
            process.states |= state
            if not state:
                process.settled = False
        elif field == TASK_SPEC:
            if value[0] != c'"':
                return NULL
            task.name_at = <uint32_t>(value - s.start)
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
        at = after_id(at, &id)
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
        if field == COMPLETED_FIELD:
            if value[0] != c"t":
                process.settled = False
        elif field == SPEC and value[0] == c'"':
            process.spec_at = <uint32_t>(value - s.start)
        elif field == TYPENAME and value[0] == c'"':
            process.typename_at = <uint32_t>(value - s.start)
        elif field == PARENT_TASK_ID:
            if at - value != UUID + 2 or memcmp(value + 1, s.start + process.id_at, UUID) != 0:
                process.settled = False
        more = next_member(&at)
    if at == NULL or not seen & TASKS:
        return NULL
    if not (process.spec_at and process.typename_at and seen & PARENT_TASK_ID
            and (seen & COMPLETED_FIELD != 0) == s.writes_completed):
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
        at = after_id(at, &id)
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


cdef const unsigned char* after_state(
    Scan* s, const unsigned char* at, bint of_piece
) noexcept nogil:
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
    if at == NULL or not seen & SUBPROCESSES or (seen & TASKS != 0) == of_piece:
        return NULL
    s.found.processes[0] = root
    return skip(at)


# Texts put together


cdef class Chunks:
    """Parts of texts that are kept elsewhere, to be joined."""

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


cdef class Cut:
    """A state's text, and where in it what is. `cut_state` and `cut_piece` make it.

    Subprocesses are numbered in the order of the text, from 0 on; -1 is the root. An index that is
    none is an IndexError. Ids are those of the state: UUIDs as `str` writes them.
    """

    def __dealloc__(self):
        free(self.found.processes)
        free(self.found.tasks)
        free(self.slots)
        free(self.kids)
        free(self.reached)

    def __len__(self):
        return self.found.process_count - 1

    # What is where

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

    cdef bint number_tasks(self) except -1:
        """Make the table of tasks; whether each id is there once."""
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
                        return False
                    slot = (slot + 1) & self.mask
                self.slots[slot] = task + 1
        return True

    cdef int connect(self) except -1:
        """Find each subprocess's parent, the order in which they are restored, what is settled.

        0 where two subprocesses have one id, and where a piece has not one at its top.
        """
        cdef Found* found = &self.found
        cdef uint32_t count = found.process_count, number, task, kid
        cdef uint32_t* at_task = <uint32_t*>calloc(found.task_count + 1, sizeof(uint32_t))
        cdef Process* one
        self.kids = <uint32_t*>malloc(count * sizeof(uint32_t))
        self.reached = <uint32_t*>malloc(count * sizeof(uint32_t))
        if at_task == NULL or self.kids == NULL or self.reached == NULL:
            free(at_task)
            raise MemoryError()
        for number in range(1, count):
            one = &found.processes[number]
            one.task = task = self.task_of(self.data + one.id_at)
            if task == NOWHERE:
                continue
            if at_task[task]:
                free(at_task)
                return 0
            at_task[task] = number
        if self.of_piece:
            for number in range(1, count):
                if found.processes[number].task == NOWHERE:  # its parent task is in another piece
                    found.processes[number].parent = 0
                    found.processes[0].kid_count += 1
                    self.kids[0] = number
            if found.processes[0].kid_count != 1:
                free(at_task)
                return 0
            self.kid_count = 1
        for number in range(count):
            one = &found.processes[number]
            if number or not self.of_piece:
                one.first_kid = self.kid_count
            for task in range(one.first, one.first + one.count):
                if at_task[task]:
                    kid = at_task[task]
                    found.processes[kid].parent = number
                    self.kids[self.kid_count] = kid
                    self.kid_count += 1
            if number or not self.of_piece:
                one.kid_count = self.kid_count - one.first_kid
        free(at_task)
        self.walk()
        return 1

    cdef void walk(self) noexcept:
        """Go down from the root, and see from below what is settled."""
        cdef Process* processes = self.found.processes
        cdef uint32_t number = 0, place, kid, waiting = 0
        cdef uint32_t count = self.found.process_count
        # From the end of `reached` grows a stack of those that are reached and not taken. Together
        # they are never more than there are subprocesses.
        while True:
            kid = processes[number].kid_count
            while kid:
                kid -= 1
                waiting += 1
                self.reached[count - waiting] = self.kids[processes[number].first_kid + kid]
            if not waiting:
                break
            number = self.reached[count - waiting]
            waiting -= 1
            self.reached[self.reached_count] = number
            self.reached_count += 1
            processes[number].reached = True
        for place in range(self.reached_count, 0, -1):
            number = self.reached[place - 1]
            if not processes[number].settled:
                processes[processes[number].parent].settled = False
        for number in range(count):
            if not processes[number].reached:
                processes[number].settled = False

    cdef uint32_t process_of(self, uint32_t task) noexcept:
        """The process whose task it is."""
        cdef Process* root = &self.found.processes[0]
        cdef uint32_t low = 1, high = self.found.process_count, middle
        if root.first <= task < root.first + root.count:
            return 0
        while high - low > 1:
            middle = low + (high - low) // 2
            if self.found.processes[middle].first <= task:
                low = middle
            else:
                high = middle
        return low

    cdef Process* process(self, Py_ssize_t number) except NULL:
        if not -1 <= number < <Py_ssize_t>self.found.process_count - 1:
            raise IndexError(f"the state has no subprocess {number}")
        return &self.found.processes[number + 1]

    cdef Process* subprocess(self, Py_ssize_t number) except NULL:
        if number == -1:
            raise IndexError("the root is no subprocess")
        return self.process(number)

    cdef Process* left(self, Py_ssize_t number) except NULL:
        """A subprocess that is settled."""
        cdef Process* one = self.subprocess(number)
        if not one.settled:
            raise IndexError(f"subprocess {number} of the state is not settled")
        return one

    cdef uint32_t find_task(self, str id):
        cdef const char* data
        cdef Py_ssize_t length
        if not id.isascii():
            return NOWHERE
        data = PyUnicode_AsUTF8AndSize(id, &length)
        return self.task_of(<const unsigned char*>data) if length == UUID else NOWHERE

    cdef str slice(self, uint32_t at, size_t length):
        cdef Chunks chunks = Chunks(1)
        chunks.add(self.data + at, length)
        chunks.ascii = self.source.ascii
        return chunks.joined()

    cdef str string(self, uint32_t at):
        """What a string says."""
        cdef const unsigned char* last = self.data + self.source.length
        cdef const unsigned char* end = after_plain(self.data + at + 1, last)
        if end[0] == c'"':
            return self.slice(at + 1, end - self.data - at - 1)
        return json.loads(self.slice(at, after_string(self.data + at, last) - self.data - at))

    cdef bint is_named(self, Process* one, str name, bytes encoded, dict known) except -1:
        """Whether there is a task of an element. `known` has names that are escaped."""
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
        cdef uint32_t task
        cdef char* end
        for task in range(one.first, one.first + one.count):
            newest = max(newest, PyOS_string_to_double(
                <const char*>self.data + self.found.tasks[task].time_at, &end, NULL))
        return newest

    # The state, and all of its subprocesses

    def head(self):
        """The state without its settled subprocesses; all else is as it is written."""
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

        Those at a subprocess's tasks follow it. One that hangs at no task of a process that is
        reached from the root is left out, as SpiffWorkflow restores none; it is not settled.
        """
        cdef uint32_t place
        return [self.reached[place] - 1 for place in range(self.reached_count)]

    def is_settled(self, Py_ssize_t number):
        return self.subprocess(number).settled

    def id(self, Py_ssize_t number):
        """A subprocess's id, which is that of its parent task."""
        return self.slice(self.subprocess(number).id_at, UUID)

    def text(self, Py_ssize_t number):
        """A subprocess's JSON text, as it is written."""
        cdef Process* one = self.subprocess(number)
        return self.slice(one.at, one.length)

    def parent(self, Py_ssize_t number):
        """The subprocess that has the parent task; -1: the root, None: none that is there."""
        cdef uint32_t parent = self.subprocess(number).parent
        return None if parent == NOWHERE else <Py_ssize_t>parent - 1

    def element(self, Py_ssize_t number):
        """The element of the parent task; None where the text does not have that task."""
        cdef uint32_t task = self.subprocess(number).task
        return None if task == NOWHERE else self.string(self.found.tasks[task].name_at)

    def children(self, Py_ssize_t number):
        """The subprocesses at the tasks of one, or of the root, in the order of the tasks."""
        cdef Process* one = self.process(number)
        cdef uint32_t kid
        return [self.kids[kid] - 1 for kid in range(one.first_kid, one.first_kid + one.kid_count)]

    def find(self, str subprocess_id not None):
        """The number of the subprocess with an id; None where there is none that is reached."""
        cdef uint32_t task = self.find_task(subprocess_id), low, high, middle, kid
        cdef Process* one
        if task == NOWHERE:
            if self.of_piece and self.id(self.kids[0] - 1) == subprocess_id:
                return self.kids[0] - 1
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
        """The subprocess that has a task; -1: the root, None: the text has no such task."""
        cdef uint32_t task = self.find_task(task_id)
        return None if task == NOWHERE else <Py_ssize_t>self.process_of(task) - 1

    # Settled subprocesses; of another, these are an IndexError

    def spec(self, Py_ssize_t number):
        """The name of a settled subprocess's spec."""
        return self.string(self.left(number).spec_at)

    def typename(self, Py_ssize_t number):
        """What the serializer calls the class of a settled subprocess."""
        return self.string(self.left(number).typename_at)

    def task_ids(self, Py_ssize_t number):
        """The ids of a settled subprocess's tasks, in order."""
        cdef Process* one = self.left(number)
        cdef uint32_t task
        return [self.slice(self.found.tasks[task].id_at, UUID)
                for task in range(one.first, one.first + one.count)]

    def names(self, Py_ssize_t number):
        """The elements that a settled subprocess has tasks of, each once."""
        cdef Process* one = self.left(number)
        cdef uint32_t task
        return list(dict.fromkeys([self.string(self.found.tasks[task].name_at)
                                   for task in range(one.first, one.first + one.count)]))

    def newest(self, Py_ssize_t number):
        """When a task of a settled subprocess changed last; -inf where it has no tasks."""
        return self.last_change(self.left(number))

    def states(self, Py_ssize_t number):
        """The states of a settled subprocess's tasks: of 64, 128 and 256, those that are there."""
        return self.left(number).states

    def matching(self, uint32_t states, str name=None, double since=-INFINITY):
        """The settled subprocesses in which some task is in one of these states, some is of the
        element, if a name is given, and some has changed since then: in the order of the text.
        """
        cdef uint32_t number
        cdef bytes encoded = None if name is None else name.encode("utf-8", "surrogatepass")
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


cdef Cut cut(object text, bint of_piece, bint writes_completed):
    cdef Cut made = Cut.__new__(Cut)
    cdef const unsigned char* at
    cdef Scan s
    try:
        made.source = Text(text)
    except UnicodeEncodeError:      # json takes surrogates that stand alone
        return None
    made.data = made.source.data
    made.of_piece = of_piece
    if made.source.length > LIMIT:
        return None
    s.start = made.data
    s.end = made.data + made.source.length
    s.writes_completed = writes_completed
    s.no_memory = False
    s.found = &made.found
    with nogil:
        at = NULL
        if made.source.ascii or is_utf8(s.start, s.end):
            at = after_state(&s, skip(s.start), of_piece)
    if s.no_memory:
        raise MemoryError()
    if at != s.end or not made.number_tasks() or not made.connect():
        return None
    return made


def cut_state(text, bint writes_completed=True):
    """Cut the text of a state, `str` or `bytes`; None where it must be decoded whole.

    `writes_completed` says whether this SpiffWorkflow writes of a subprocess that it is completed,
    which 3.0 does not: there it is when its tasks are finished.
    """
    return cut(text, False, writes_completed)


def cut_piece(text, bint writes_completed=True):
    """Cut the text of a piece: an object with `subprocesses` like a state's, and no `tasks`.

    One of the subprocesses is at a task that is elsewhere, the others are below it; None where that
    is not so, or the text must be decoded whole.
    """
    return cut(text, True, writes_completed)


def splice(str head not None, list members not None, Cut pieces=None):
    """Put settled subprocesses back into a head, which holds the others.

    `members` are all subprocesses in their order: an `int` is one of `pieces`, a `str` the id of
    one of the head, a tuple the id and the text of one. Returns None where the head is not cut, or
    where the members of the head are not its subprocesses.
    """
    cdef Cut outer = cut(head, False, True)
    cdef Chunks chunks
    cdef uint32_t next = 1
    cdef list kept = []
    cdef Text text
    if outer is None:
        return None
    chunks = Chunks(4 * len(members) + 2)
    chunks.ascii = outer.source.ascii and (pieces is None or pieces.source.ascii)
    chunks.add(outer.data, outer.found.opening)
    for member in members:
        if isinstance(member, int):
            if pieces is None:
                raise IndexError("there are no pieces")
            pieces.left(member)
            pieces.add_member(chunks, <uint32_t>(<Py_ssize_t>member + 1))
        elif isinstance(member, str):
            if next == outer.found.process_count or outer.id(next - 1) != member:
                return None
            outer.add_member(chunks, next)
            next += 1
        else:
            comma = ", " if chunks.count > 1 else ""
            for part in (f'{comma}"{member[0]}": ', member[1]):
                text = Text(part)
                kept.append(text)
                chunks.add(text.data, text.length)
                chunks.ascii = chunks.ascii and text.ascii
    if next != outer.found.process_count:
        return None
    chunks.add(outer.data + outer.found.closing, outer.source.length - outer.found.closing)
    return chunks.joined()


def checksum(text, size_t start=0):
    """XXH64 of a text's UTF-8 from a place on."""
    cdef Text whole = Text(text)
    start = min(start, <size_t>whole.length)
    return xxh64(0, whole.data + start, whole.length - start)
