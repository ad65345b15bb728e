"""Workflow JSON -> where its process specs and the ids in them lie; the text without whitespace.

`slice_workflow` goes through the text once. All of it is held to the letter of RFC 8259 and to what
orjson accepts; of the members of the workflow, of its process specs and of their task specs, those
are noted that say what a process is, has and leads to. What they say is for `model` to read.

On the way the text is copied without the whitespace between its tokens, and the slices are of that
copy: the caller's own bytes, ready to be stored. Tokens that whitespace parts are checked before it
is left out, so that taking it away makes no bad text good.

Nothing here recurses deeper than a workflow's own levels: other nesting is counted, and refused
where orjson refuses it. Work and memory are proportional to the text.
"""

from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t
from libc.stdlib cimport free
from libc.string cimport memcmp, memcpy, memset

from .tokens cimport (
    MAX_DEPTH, after_escape, after_plain, after_scalar, after_string, is_space, is_utf8, unescape,
)
from .memory cimport room

import orjson

from .fault import Fault

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef Py_ssize_t LIMIT = 0xFFFFFFFF  # a slice's numbers are 32 bits wide
cdef uint32_t LONGEST_KEY = 16      # of the keys that are known


cdef class Text:
    """JSON text as a buffer of UTF-8, without a copy where it is `bytes` or ASCII.

    Raises Fault for a lone surrogate, TypeError for anything but `str` and `bytes`.
    """

    def __cinit__(self, text):
        cdef const char* data
        if isinstance(text, str) and (<str>text).isascii():
            self.ascii = True
            data = PyUnicode_AsUTF8AndSize(text, &self.length)
        else:
            if isinstance(text, str):
                text = encoded(text)
            elif not isinstance(text, bytes):
                raise TypeError(f"a text is str or bytes, not {type(text).__name__}")
            else:
                self.ascii = (<bytes>text).isascii()
            data = PyBytes_AS_STRING(text)
            self.length = PyBytes_GET_SIZE(text)
        self.owner = text
        self.data = <const unsigned char*>data

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        PyBuffer_FillInfo(buffer, self, <void*>self.data, self.length, 1, flags)


cdef bytes encoded(str text):
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Fault("surrogate", character=error.start) from error


cdef class Slices:
    """What was found in a workflow's text, and the text without whitespace."""

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
        """Give back what is not wanted any more when the task specs are read."""
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


cdef struct Scan:
    const unsigned char* end        # of the text
    const unsigned char* run        # what is not copied yet starts here
    unsigned char* start            # of the copy
    unsigned char* out              # where the run goes
    const unsigned char* field      # the key of the top-level member that is read, or NULL
    const unsigned char* process    # the key of the subprocess spec that is read, or NULL
    bint no_memory
    Found found


cdef inline const unsigned char* skip(Scan* s, const unsigned char* at) noexcept nogil:
    """Leave whitespace out of the copy; the place behind it."""
    cdef const unsigned char* next = at
    cdef Py_ssize_t length = at - s.run
    if at[0] > c" ":
        return at
    while is_space(next[0]):
        next += 1
    if next == at:
        return at
    if length <= 32 and s.end - s.run >= 32:
        memcpy(s.out, s.run, 32)  # a fixed length is an instruction or two
    else:
        memcpy(s.out, s.run, length)
    s.out += length
    s.run = next
    return next


cdef inline uint32_t place(Scan* s, const unsigned char* at) noexcept nogil:
    """Where a byte of the text is, or will be, in the copy."""
    return <uint32_t>((s.out - s.start) + (at - s.run))


cdef const unsigned char* after_container(
    Scan* s, const unsigned char* at, int depth
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
            at = skip(s, at + 1)
            if at[0] != closing[top]:
                if closing[top] == c"}":
                    at = after_key(s, at, NULL, NULL)
                    if at == NULL:
                        return NULL
                continue
        else:
            at = after_scalar(at, s.end)
            if at == NULL:
                return NULL
            at = skip(s, at)
        while at[0] == closing[top]:
            top -= 1
            if top < 0:
                return at + 1
            at = skip(s, at + 1)
        if at[0] != c",":
            return NULL
        at = skip(s, at + 1)
        if closing[top] == c"}":
            at = after_key(s, at, NULL, NULL)
            if at == NULL:
                return NULL


cdef inline const unsigned char* after_value(
    Scan* s, const unsigned char* at, int depth, Slice* value
) noexcept nogil:
    value.at = place(s, at)
    at = after_container(s, at, depth) if at[0] | 0x20 == c"{" else after_scalar(at, s.end)
    if at != NULL:
        value.length = place(s, at) - value.at
    return at


# Objects that are read member by member: `more` tells whether `at` is at a key


cdef inline bint first_member(Scan* s, const unsigned char** at) noexcept nogil:
    at[0] = skip(s, at[0] + 1)
    if at[0][0] != c"}":
        return True
    at[0] += 1
    return False


cdef inline bint next_member(Scan* s, const unsigned char** at) noexcept nogil:
    """After a value; NULL where that was none, or something else follows."""
    if at[0] == NULL:
        return False
    at[0] = skip(s, at[0])
    if at[0][0] == c",":
        at[0] = skip(s, at[0] + 1)
        return True
    at[0] = at[0] + 1 if at[0][0] == c"}" else NULL
    return False


cdef inline const unsigned char* after_key(
    Scan* s, const unsigned char* at, Slice* key, Field* field
) noexcept nogil:
    """A key and its colon; notes where it is, and which it is, if asked."""
    cdef const unsigned char* start = at + 1
    if at[0] != c'"':
        return NULL
    at = after_plain(start, s.end)
    if at[0] == c'"':
        if field != NULL:
            field[0] = field_of(start, at - start)
    else:
        while at[0] == c"\\":
            at = after_escape(at)
            if at == NULL:
                return NULL
            at = after_plain(at, s.end)
        if at[0] != c'"':
            return NULL
        if field != NULL:
            field[0] = escaped_field(start, at - start)
    at += 1
    if key != NULL:
        key.at = place(s, start - 1)
        key.length = <uint32_t>(at - start + 1)
    at = skip(s, at)
    return skip(s, at + 1) if at[0] == c":" else NULL


cdef inline Field field_of(const unsigned char* key, size_t length) noexcept nogil:
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
        return SUBPROCESS_SPECS if memcmp(key, b"subprocess_specs", 16) == 0 else OTHER
    return OTHER


cdef Field escaped_field(const unsigned char* key, size_t length) noexcept nogil:
    cdef unsigned char[6 * 16] plain
    if length > 6 * LONGEST_KEY:
        return OTHER
    return field_of(plain, unescape(key, <uint32_t>length, plain))


cdef const unsigned char* after_task(
    Scan* s, const unsigned char* at, int depth, TaskSpec* task
) noexcept nogil:
    """A task spec's value; only of an object the members are noted."""
    cdef Field field
    cdef Slice key, value
    cdef bint more
    task.first = at[0]
    if at[0] != c"{":
        return after_value(s, at, depth, &value)
    more = first_member(s, &at)
    while more:
        at = after_key(s, at, &key, &field)
        if at == NULL:
            return NULL
        at = after_value(s, at, depth + 1, &value)
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
        more = next_member(s, &at)
    return at


cdef const unsigned char* after_tasks(
    Scan* s, const unsigned char* at, int depth
) noexcept nogil:
    """The object of a process's task specs."""
    cdef TaskSpec task
    cdef void* tasks
    cdef bint more = first_member(s, &at)
    while more:
        memset(&task, 0, sizeof(task))
        at = after_key(s, at, &task.key, NULL)
        if at == NULL:
            return NULL
        at = after_task(s, at, depth + 1, &task)
        tasks = room(s.found.tasks, s.found.task_count, &s.found.task_room, sizeof(task))
        if tasks == NULL:
            s.no_memory = True
            return NULL
        s.found.tasks = <TaskSpec*>tasks
        s.found.tasks[s.found.task_count] = task
        s.found.task_count += 1
        more = next_member(s, &at)
    return at


cdef const unsigned char* after_members_of_process(
    Scan* s, const unsigned char* at, int depth, ProcessSpec* process
) noexcept nogil:
    cdef Field field
    cdef Slice key, value
    cdef bint more = first_member(s, &at)
    while more:
        at = after_key(s, at, &key, &field)
        if at == NULL:
            return NULL
        if field == TASK_SPECS and at[0] == c"{":
            value.at = place(s, at)
            process.first_task = s.found.task_count
            at = after_tasks(s, at, depth + 1)
            if at != NULL:
                value.length = place(s, at) - value.at
                process.task_count = s.found.task_count - process.first_task
        else:
            at = after_value(s, at, depth + 1, &value)
        if field == NAME:
            process.name = value
        elif field == TYPENAME:
            process.typename = value
        elif field == TASK_SPECS:
            process.task_specs = value
        more = next_member(s, &at)
    return at


cdef const unsigned char* after_process(
    Scan* s, const unsigned char* at, int depth, Slice key
) noexcept nogil:
    """A process spec, or what is in the place of one."""
    cdef ProcessSpec process
    cdef void* processes
    memset(&process, 0, sizeof(process))
    process.key = key
    if at[0] == c"{":
        process.value.at = place(s, at)
        at = after_members_of_process(s, at, depth, &process)
        if at == NULL:
            return NULL
        process.value.length = place(s, at) - process.value.at
    else:
        at = after_value(s, at, depth, &process.value)
    processes = room(
        s.found.processes, s.found.process_count, &s.found.process_room, sizeof(process))
    if processes == NULL:
        s.no_memory = True
        return NULL
    s.found.processes = <ProcessSpec*>processes
    s.found.processes[s.found.process_count] = process
    s.found.process_count += 1
    return at


cdef const unsigned char* after_subprocesses(Scan* s, const unsigned char* at) noexcept nogil:
    """The object of subprocess specs, or what is in its place."""
    cdef Slice key
    cdef bint more
    s.found.first = s.found.process_count
    s.found.count = 0
    if at[0] != c"{":
        return after_value(s, at, 1, &s.found.subprocess_specs)
    s.found.subprocess_specs.at = place(s, at)
    more = first_member(s, &at)
    while more:
        s.process = at
        at = after_key(s, at, &key, NULL)
        if at == NULL:
            return NULL
        at = after_process(s, at, 2, key)
        more = next_member(s, &at)
    if at != NULL:
        s.found.count = s.found.process_count - s.found.first
        s.found.subprocess_specs.length = place(s, at) - s.found.subprocess_specs.at
        s.process = NULL
    return at


cdef const unsigned char* after_other(
    Scan* s, const unsigned char* at, Slice key
) noexcept nogil:
    cdef Member member
    cdef void* others
    member.key = key
    at = after_value(s, at, 1, &member.value)
    others = room(s.found.others, s.found.other_count, &s.found.other_room, sizeof(member))
    if others == NULL:
        s.no_memory = True
        return NULL
    s.found.others = <Member*>others
    s.found.others[s.found.other_count] = member
    s.found.other_count += 1
    return at


cdef const unsigned char* after_workflow(Scan* s, const unsigned char* at) noexcept nogil:
    cdef Field field
    cdef Slice key
    cdef bint more = first_member(s, &at)
    while more:
        s.field = at
        at = after_key(s, at, &key, &field)
        if at == NULL:
            return NULL
        if field == SPEC:
            at = after_process(s, at, 1, key)
            s.found.root = s.found.process_count
        elif field == SUBPROCESS_SPECS:
            at = after_subprocesses(s, at)
        else:
            at = after_other(s, at, key)
        if at == NULL:
            return NULL
        s.field = NULL
        more = next_member(s, &at)
    return at


cdef object refusal(Text text, Scan* s):
    """What to raise for a text that is refused; the parser says what is wrong with it."""
    if s.no_memory:
        return MemoryError()
    try:
        orjson.loads(memoryview(text))
    except orjson.JSONDecodeError as error:
        refused = Fault(
            "not JSON", field=key_at(s.field, s.end), process=key_at(s.process, s.end))
        refused.__cause__ = error
        return refused
    return Fault("no object")


cdef str key_at(const unsigned char* at, const unsigned char* end):
    """The key that is read there; None if there is none or it is not good."""
    cdef const unsigned char* after = NULL
    if at != NULL:
        after = after_string(at, end)
    return None if after == NULL else orjson.loads(at[:after - at])


cpdef Slices slice_workflow(Text text):
    """Slice a workflow's JSON text.

    Raises Fault where it is not JSON or no object.
    """
    cdef Slices slices = Slices.__new__(Slices)
    cdef Scan s
    cdef const unsigned char* at = text.data
    if text.length > LIMIT:
        raise Fault("long text")
    memset(&s, 0, sizeof(s))
    slices.text = text
    slices.compact = PyBytes_FromStringAndSize(NULL, text.length)
    slices.data = <const unsigned char*>PyBytes_AS_STRING(slices.compact)
    s.end = text.data + text.length
    s.start = s.out = <unsigned char*>slices.data
    with nogil:
        while is_space(at[0]):
            at += 1
        s.run = at
        if at[0] == c"{" and (text.ascii or is_utf8(text.data, s.end)):
            at = after_workflow(&s, at)
            if at != NULL:
                at = skip(&s, at)
        else:
            at = NULL
        if at == s.end:
            memcpy(s.out, s.run, at - s.run)
    slices.found = s.found  # also to be freed
    if at != s.end:
        raise refusal(text, &s)
    return slices
