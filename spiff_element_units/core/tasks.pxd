"""The text of a saved state -> the places of its tasks and subprocesses in it.

`after_state` reads the text once and keeps a row of numbers for each task and each subprocess. It
makes no Python objects. Like the functions of `lenient`, it takes the place where a state must
start and returns the place behind it, or NULL if there is none.

Tasks and subprocesses must be as SpiffWorkflow writes them: ids are UUIDs, and keys are neither
repeated nor escaped. A subprocess that is unusual in another way counts as not settled.

Time and memory are proportional to the text. Nothing recurses.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcmp, memset

from .layout cimport NOWHERE, is_digit, load64
from .lenient cimport after_value, first_member, next_member, skip
from .memory cimport room
from .tokens cimport after_plain

cdef enum:
    UUID = 36               # characters of an id


cdef struct Task:
    # Places in the text.
    uint32_t id_at          # the first character of its id
    uint32_t name_at        # the string that names its element
    uint32_t time_at        # the number of its last change; 0: there is none
    bint childless          # its "children" are an empty array


cdef struct Process:
    # The root, or a subprocess. Places are in the text.
    uint32_t id_at
    uint32_t at             # the value
    uint32_t length
    uint32_t typename_at    # a string; 0: there is none
    uint32_t first          # of its tasks
    uint32_t count
    uint32_t task           # the parent task; NOWHERE: there is none
    uint32_t parent         # the process of the parent task; NOWHERE: there is none
    uint32_t first_kid      # of the subprocesses at its tasks, in `kids`
    uint32_t kid_count
    uint32_t states         # of its tasks
    bint reached            # from the root
    bint settled
    bint drifts             # a task without children has a subprocess, here or below


cdef struct Found:
    Process* processes      # the root, then the subprocesses
    uint32_t process_count
    uint32_t process_room
    Task* tasks             # those of a process follow one another
    uint32_t task_count
    uint32_t task_room
    uint32_t opening        # behind the bracket of "subprocesses"
    uint32_t closing        # its closing bracket


cdef struct Scan:
    const unsigned char* start
    const unsigned char* end
    bint writes_completed
    bint no_memory
    Found* found


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
    LAST_TASK = 2048


cdef inline const unsigned char* after_field(
    Scan* s, const unsigned char* at, uint32_t* field
) noexcept nogil:
    """A key without escapes, and its colon."""
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
        if memcmp(key, b"last_task", 9) == 0:
            return LAST_TASK
        return COMPLETED if memcmp(key, b"completed", 9) == 0 else OTHER
    if length == 12:
        return SUBPROCESSES if memcmp(key, b"subprocesses", 12) == 0 else OTHER
    if length == 17:
        return LAST_STATE_CHANGE if memcmp(key, b"last_state_change", 17) == 0 else OTHER
    if length == 14:
        return PARENT_TASK_ID if memcmp(key, b"parent_task_id", 14) == 0 else OTHER
    return OTHER


cdef inline uint64_t above(uint64_t word, unsigned char most) noexcept nogil:
    """Sets the high bit of each byte that is above a value, if all bytes are below 0x80."""
    return word + (0x7Fu - most) * 0x0101010101010101u


cdef inline bint are_hex(uint64_t word) noexcept nogil:
    """Whether each byte is 0 to 9 or a to f."""
    cdef uint64_t digits = above(word, c"0" - 1) & ~above(word, c"9")
    cdef uint64_t letters = above(word, c"a" - 1) & ~above(word, c"f")
    return ~word & (digits | letters) & 0x8080808080808080u == 0x8080808080808080u


cdef inline bint is_uuid(const unsigned char* at, const unsigned char* end) noexcept nogil:
    """Whether there is a UUID as `str(uuid)` writes it, and a quote."""
    cdef uint64_t left, right
    if end - at <= UUID or at[UUID] != c'"':
        return False
    left, right = load64(at + 8), load64(at + 16)     # -xxxx-xx and xx-xxxx-
    if left & 0x0000FF00000000FFu != 0x00002D000000002Du or (
            right & 0xFF00000000FF0000u != 0x2D000000002D0000u):
        return False
    # The dashes, which were checked before, become digits.
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
    """A whole number of up to three digits; 0 for anything else."""
    cdef uint32_t number = 0
    cdef Py_ssize_t place
    if length > 3:
        return 0
    for place in range(length):
        if not is_digit(at[place]):
            return 0
        number = 10 * number + at[place] - c"0"
    return number


cdef inline const unsigned char* after_task(
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


cdef inline const unsigned char* after_tasks(
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


cdef inline bint has_task(Scan* s, Process* process, const unsigned char* id) noexcept nogil:
    """Whether a string is the id of a task of a process. It is often one of the last."""
    cdef uint32_t number
    if id[0] != c'"' or not is_uuid(id + 1, s.end):
        return False
    for number in range(process.first + process.count, process.first, -1):
        if memcmp(s.start + s.found.tasks[number - 1].id_at, id + 1, UUID) == 0:
            return True
    return False


cdef inline const unsigned char* after_process(
    Scan* s, const unsigned char* at, int depth, Process* process
) noexcept nogil:
    """A subprocess with a known id. `settled` says whether its own text allows it to be settled."""
    cdef uint32_t field, seen = 0
    cdef const unsigned char* start = at
    cdef const unsigned char* value
    cdef const unsigned char* last_task = NULL
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
        elif field == LAST_TASK:
            last_task = value
        elif field == PARENT_TASK_ID:
            if at - value != UUID + 2 or memcmp(value + 1, s.start + process.id_at, UUID) != 0:
                process.settled = False
        more = next_member(&at)
    if at == NULL or not seen & TASKS:
        return NULL
    if not (seen & SPEC and process.typename_at and seen & PARENT_TASK_ID
            and (seen & COMPLETED != 0) == s.writes_completed):
        process.settled = False
    # A reset may have removed the last task. SpiffWorkflow then restores, and writes, that there is
    # none.
    if last_task != NULL and last_task[0] != c"n" and not has_task(s, process, last_task):
        process.settled = False
    process.at = <uint32_t>(start - s.start)
    process.length = <uint32_t>(at - start)
    return at


cdef inline int add(Scan* s, Process* process) noexcept nogil:
    cdef void* processes = room(
        s.found.processes, s.found.process_count, &s.found.process_room, sizeof(Process))
    if processes == NULL:
        s.no_memory = True
        return -1
    s.found.processes = <Process*>processes
    s.found.processes[s.found.process_count] = process[0]
    s.found.process_count += 1
    return 0


cdef inline const unsigned char* after_subprocesses(
    Scan* s, const unsigned char* at
) noexcept nogil:
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


cdef inline const unsigned char* after_state(Scan* s, const unsigned char* at) noexcept nogil:
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
