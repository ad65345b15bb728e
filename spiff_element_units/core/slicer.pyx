"""Workflow JSON -> the places of its process specs and of the ids in them.

`slice_workflow` goes through the text once and checks all of it: it must be JSON as RFC 8259
defines it and orjson accepts it. It notes the members that say what a process is, what it contains
and where it leads. `reader` reads these members.

At the same time, it copies the text without the whitespace between tokens. Slices are places in
this copy. It consists of the caller's own bytes and is ready to be stored.

Recursion is only as deep as the levels of a workflow. Time and memory are proportional to the text.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t
from libc.stdlib cimport free
from libc.string cimport memcmp, memcpy, memset

from .memory cimport room
from .scan cimport (
    Key, Scan, Slice, after_key, after_value, first_member, next_member, place, skip,
)
from .text cimport Text
from .tokens cimport after_string, is_space, is_utf8, unescape

import orjson

from .fault import Fault

cdef Py_ssize_t LIMIT = 0xFFFFFFFF  # a slice's numbers are 32 bits wide
cdef uint32_t LONGEST_KEY = 16      # of the known keys


cdef class Slices:
    """What was found in the text of a workflow, and the text without whitespace."""

    def __dealloc__(self):
        free(self.found.processes)
        free(self.found.tasks)
        free(self.found.others)

    cdef bytes bytes_of(self, Slice slice):
        return self.data[slice.at:slice.at + slice.length]

    cdef str string(self, Slice token):
        """The content of a string."""
        return orjson.loads(self.bytes_of(token))

    cdef void forget_tasks(self) noexcept:
        """Free what nobody needs once the task specs are read."""
        free(self.found.tasks)
        self.found.tasks = NULL
        self.found.task_count = self.found.task_room = 0


cdef enum Field:
    OTHER
    SPEC
    SUBPROCESS_SPECS
    NAME
    TYPENAME
    TASK_SPECS
    BPMN_ID
    TASK_SPEC
    TRIGGER_SPECS
    EVENT_DEFINITION


cdef struct Slicing:
    Scan scan
    const unsigned char* field      # the key of the top-level member that is read, or NULL
    const unsigned char* process    # the key of the subprocess spec that is read, or NULL
    bint no_memory
    Found found


cdef inline Field field_of(Key* key) noexcept nogil:
    """Which of the known keys this is."""
    cdef unsigned char[6 * 16] plain
    cdef uint32_t length = key.slice.length - 2
    if not key.escaped:
        return known(key.text, length)
    if length > 6 * LONGEST_KEY:
        return OTHER
    return known(plain, unescape(key.text, length, plain))


cdef inline Field known(const unsigned char* key, size_t length) noexcept nogil:
    if length == 4:
        if memcmp(key, b"name", 4) == 0:
            return NAME
        return SPEC if memcmp(key, b"spec", 4) == 0 else OTHER
    if length == 7:
        return BPMN_ID if memcmp(key, b"bpmn_id", 7) == 0 else OTHER
    if length == 8:
        return TYPENAME if memcmp(key, b"typename", 8) == 0 else OTHER
    if length == 9:
        return TASK_SPEC if memcmp(key, b"task_spec", 9) == 0 else OTHER
    if length == 10:
        return TASK_SPECS if memcmp(key, b"task_specs", 10) == 0 else OTHER
    if length == 13:
        return TRIGGER_SPECS if memcmp(key, b"trigger_specs", 13) == 0 else OTHER
    if length == 16:
        if memcmp(key, b"event_definition", 16) == 0:
            return EVENT_DEFINITION
        return SUBPROCESS_SPECS if memcmp(key, b"subprocess_specs", 16) == 0 else OTHER
    return OTHER


cdef const unsigned char* after_task(
    Slicing* s, const unsigned char* at, int depth, TaskSpec* task
) noexcept nogil:
    """The value of a task spec. Members are noted if it is an object."""
    cdef Field field
    cdef Key key
    cdef Slice value
    cdef bint more
    task.first = at[0]
    if at[0] != c"{":
        return after_value(&s.scan, at, depth, &value)
    more = first_member(&s.scan, &at)
    while more:
        at = after_key(&s.scan, at, &key)
        if at == NULL:
            return NULL
        field = field_of(&key)
        at = after_value(&s.scan, at, depth + 1, &value)
        if field == NAME:
            task.name = value
        elif field == BPMN_ID:
            task.bpmn_id = value
        elif field == TYPENAME:
            task.typename = value
        elif field == SPEC:
            task.spec = value
        elif field == TASK_SPEC:
            task.task_spec = value
        elif field == TRIGGER_SPECS:
            task.trigger_specs = value
        elif field == EVENT_DEFINITION:
            task.event_definition = value
        more = next_member(&s.scan, &at)
    return at


cdef const unsigned char* after_tasks(
    Slicing* s, const unsigned char* at, int depth
) noexcept nogil:
    """The object of a process's task specs."""
    cdef TaskSpec task
    cdef Key key
    cdef void* tasks
    cdef bint more = first_member(&s.scan, &at)
    while more:
        memset(&task, 0, sizeof(task))
        at = after_key(&s.scan, at, &key)
        if at == NULL:
            return NULL
        task.key = key.slice
        at = after_task(s, at, depth + 1, &task)
        tasks = room(s.found.tasks, s.found.task_count, &s.found.task_room, sizeof(task))
        if tasks == NULL:
            s.no_memory = True
            return NULL
        s.found.tasks = <TaskSpec*>tasks
        s.found.tasks[s.found.task_count] = task
        s.found.task_count += 1
        more = next_member(&s.scan, &at)
    return at


cdef const unsigned char* after_members_of_process(
    Slicing* s, const unsigned char* at, int depth, ProcessSpec* process
) noexcept nogil:
    cdef Field field
    cdef Key key
    cdef Slice value
    cdef bint more = first_member(&s.scan, &at)
    while more:
        at = after_key(&s.scan, at, &key)
        if at == NULL:
            return NULL
        field = field_of(&key)
        if field == TASK_SPECS and at[0] == c"{":
            value.at = place(&s.scan, at)
            process.first_task = s.found.task_count
            at = after_tasks(s, at, depth + 1)
            if at != NULL:
                value.length = place(&s.scan, at) - value.at
                process.task_count = s.found.task_count - process.first_task
        else:
            at = after_value(&s.scan, at, depth + 1, &value)
        if field == NAME:
            process.name = value
        elif field == TYPENAME:
            process.typename = value
        elif field == TASK_SPECS:
            process.task_specs = value
        more = next_member(&s.scan, &at)
    return at


cdef const unsigned char* after_process(
    Slicing* s, const unsigned char* at, int depth, Slice key
) noexcept nogil:
    """A process spec, or what is in the place of one."""
    cdef ProcessSpec process
    cdef void* processes
    memset(&process, 0, sizeof(process))
    process.key = key
    if at[0] == c"{":
        process.value.at = place(&s.scan, at)
        at = after_members_of_process(s, at, depth, &process)
        if at == NULL:
            return NULL
        process.value.length = place(&s.scan, at) - process.value.at
    else:
        at = after_value(&s.scan, at, depth, &process.value)
    processes = room(
        s.found.processes, s.found.process_count, &s.found.process_room, sizeof(process))
    if processes == NULL:
        s.no_memory = True
        return NULL
    s.found.processes = <ProcessSpec*>processes
    s.found.processes[s.found.process_count] = process
    s.found.process_count += 1
    return at


cdef const unsigned char* after_subprocesses(Slicing* s, const unsigned char* at) noexcept nogil:
    """The object of subprocess specs, or what is in its place."""
    cdef Key key
    cdef bint more
    s.found.first = s.found.process_count
    s.found.count = 0
    if at[0] != c"{":
        return after_value(&s.scan, at, 1, &s.found.subprocess_specs)
    s.found.subprocess_specs.at = place(&s.scan, at)
    more = first_member(&s.scan, &at)
    while more:
        s.process = at
        at = after_key(&s.scan, at, &key)
        if at == NULL:
            return NULL
        at = after_process(s, at, 2, key.slice)
        more = next_member(&s.scan, &at)
    if at != NULL:
        s.found.count = s.found.process_count - s.found.first
        s.found.subprocess_specs.length = place(&s.scan, at) - s.found.subprocess_specs.at
        s.process = NULL
    return at


cdef const unsigned char* after_other(
    Slicing* s, const unsigned char* at, Slice key
) noexcept nogil:
    cdef Member member
    cdef void* others
    member.key = key
    at = after_value(&s.scan, at, 1, &member.value)
    others = room(s.found.others, s.found.other_count, &s.found.other_room, sizeof(member))
    if others == NULL:
        s.no_memory = True
        return NULL
    s.found.others = <Member*>others
    s.found.others[s.found.other_count] = member
    s.found.other_count += 1
    return at


cdef const unsigned char* after_workflow(Slicing* s, const unsigned char* at) noexcept nogil:
    cdef Field field
    cdef Key key
    cdef bint more = first_member(&s.scan, &at)
    while more:
        s.field = at
        at = after_key(&s.scan, at, &key)
        if at == NULL:
            return NULL
        field = field_of(&key)
        if field == SPEC:
            at = after_process(s, at, 1, key.slice)
            s.found.root = s.found.process_count
        elif field == SUBPROCESS_SPECS:
            at = after_subprocesses(s, at)
        else:
            at = after_other(s, at, key.slice)
        if at == NULL:
            return NULL
        s.field = NULL
        more = next_member(&s.scan, &at)
    return at


cdef object refusal(Text text, Slicing* s):
    """The exception for a text that is refused. The parser says what is wrong with it."""
    if s.no_memory:
        return MemoryError()
    try:
        orjson.loads(memoryview(text))
    except orjson.JSONDecodeError as error:
        refused = Fault(
            "not JSON", field=key_at(s.field, s.scan.end), process=key_at(s.process, s.scan.end))
        refused.__cause__ = error
        return refused
    return Fault("no object")


cdef str key_at(const unsigned char* at, const unsigned char* end):
    """The key at a place; None if there is no good key."""
    cdef const unsigned char* after = NULL
    if at != NULL:
        after = after_string(at, end)
    return None if after == NULL else orjson.loads(at[:after - at])


cpdef Slices slice_workflow(Text text):
    """Slice the JSON text of a workflow. Raises Fault if it is not JSON, or not an object."""
    cdef Slices slices = Slices.__new__(Slices)
    cdef Slicing s
    cdef const unsigned char* at = text.data
    if text.length > LIMIT:
        raise Fault("long text")
    memset(&s, 0, sizeof(s))
    slices.text = text
    slices.compact = PyBytes_FromStringAndSize(NULL, text.length)
    slices.data = <const unsigned char*>PyBytes_AS_STRING(slices.compact)
    s.scan.end = text.data + text.length
    s.scan.start = s.scan.out = <unsigned char*>slices.data
    with nogil:
        while is_space(at[0]):
            at += 1
        s.scan.run = at
        if at[0] == c"{" and (text.ascii or is_utf8(text.data, s.scan.end)):
            at = after_workflow(&s, at)
            if at != NULL:
                at = skip(&s.scan, at)
        else:
            at = NULL
        if at == s.scan.end:
            memcpy(s.scan.out, s.scan.run, at - s.scan.run)
    slices.found = s.found  # also to be freed
    if at != s.scan.end:
        raise refusal(text, &s)
    return slices
