"""What the task specs of a process refer to: calls, embedded subprocesses and triggers.

Before 3.2, SpiffWorkflow writes no `trigger_specs`. At each event, its engine looks through all
subprocess specs for start events of that event. So in a workflow without any `trigger_specs`, the
root's start task triggers each process with a start event that waits for something.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t
from libc.stdlib cimport free
from libc.string cimport memcmp

import orjson

from .ids cimport Id
from .layout cimport CALL, EMBEDDED, NOWHERE, TRIGGER
from .memory cimport more
from .model cimport Link, Model
from .slicer cimport TaskSpec
from .spec cimport NOTHING, UNKNOWN, Spec


cdef inline bint is_text(Id id, const char* text, size_t length) noexcept:
    return id.length == length and memcmp(id.data, text, length) == 0


cdef bint is_reference(Id typename) noexcept:
    """Whether every task spec of this type must refer to a process."""
    return (is_text(typename, b"CallActivity", 12) or is_text(typename, b"SubWorkflowTask", 15)
            or is_text(typename, b"TransactionSubprocess", 21)
            or is_text(typename, b"EventSubprocess", 15)
            or is_text(typename, b"AdHocSubprocess", 15))


cdef inline bint ends_with(Id id, const char* text, size_t length) noexcept:
    return id.length >= length and memcmp(id.data + id.length - length, text, length) == 0


cdef class References(Spec):

    def __dealloc__(self):
        free(self.numbers)

    cdef int read_links(self) except -1:
        cdef uint32_t number, start = NOTHING
        cdef bint refers = False
        self.process.first_link = self.model.link_count
        if self.is_root():
            start = self.start_task()
        for number in range(self.tasks):
            refers = self.read_task(number) or refers
            if number == start and not self.model.has_triggers:
                self.trigger_by_events(number)
        self.process.links = self.model.link_count - self.process.first_link
        if refers:
            for number in range(self.tasks):
                self.follow(number)
        return 0

    cdef bint read_task(self, uint32_t number) except -1:
        """Add the references of a task spec; whether it has one that is not a trigger."""
        cdef TaskSpec* task = self.task(number)
        cdef Id typename
        if task.first != c"{":
            raise self.fault(
                "spec", {"task": self.slices.string(task.key), "found": task.first})
        if self.first(task.typename) != c'"':
            raise self.wrong_field(task, "typename", task.typename)
        typename = self.string(task.typename)
        refers = self.first(task.spec) == c'"'
        if refers:
            self.named[number].link = self.model.link_count
            self.add_link(CALL if is_text(typename, b"CallActivity", 12) else EMBEDDED,
                          self.string(task.spec), number)
        elif is_reference(typename):
            raise self.wrong_field(task, "spec", task.spec)
        if task.trigger_specs.length:
            self.model.has_triggers = True
            if self.first(task.trigger_specs) != c"n":
                self.read_triggers(task, number)
        elif not self.model.has_triggers and ends_with(typename, b"StartEvent", 10):
            self.process.by_events = self.process.by_events or self.waits(task)
        return refers

    cdef bint waits(self, TaskSpec* start_event) except -1:
        """Whether the definition of a start event names an event."""
        if self.first(start_event.event_definition) != c"{":
            return False
        definition = orjson.loads(self.slices.bytes_of(start_event.event_definition))
        kind = definition.get("typename")
        return isinstance(kind, str) and kind != "NoneEventDefinition"

    cdef uint32_t start_task(self) except? 0xFFFFFFFFu:
        """The number of the start task, or of the first task spec if no typename says which it is.

        Also sets `has_triggers` of the model.
        """
        cdef uint32_t number, start = NOTHING
        cdef TaskSpec* task
        for number in range(self.tasks):
            task = self.task(number)
            if task.trigger_specs.length:
                self.model.has_triggers = True
            if start == NOTHING and self.first(task.typename) == c'"' and ends_with(
                    self.string(task.typename), b"StartTask", 9):
                start = number
        return 0 if start == NOTHING else start

    cdef int trigger_by_events(self, uint32_t task) except -1:
        """Add a reference to each subprocess spec that events start."""
        cdef Model model = self.model
        cdef uint32_t number, rank
        for number in range(model.keys.count):
            rank = model.keys.nodes[number].value
            if rank != NOWHERE and model.processes[rank].by_events:
                self.add_link(TRIGGER, model.processes[rank].id, task)
        return 0

    cdef int read_triggers(self, TaskSpec* task, uint32_t number) except -1:
        cdef bytes name
        cdef Id id
        if self.first(task.trigger_specs) != c"[":
            raise self.wrong_field(task, "trigger_specs", task.trigger_specs)
        for trigger in orjson.loads(self.slices.bytes_of(task.trigger_specs)):
            if not isinstance(trigger, str):
                raise self.fault("trigger", {"task": self.slices.string(task.key),
                                             "found": orjson.dumps(trigger)[0]})
            name = (<str>trigger).encode()
            self.model.decoded.append(name)
            id.data = <const unsigned char*>PyBytes_AS_STRING(name)
            id.length = <uint32_t>PyBytes_GET_SIZE(name)
            self.add_link(TRIGGER, id, number)
        return 0

    cdef int add_link(self, uint32_t kind, Id name, uint32_t task) except -1:
        """Add a reference; its names are numbers of ids until `place_names`."""
        cdef Model model = self.model
        model.links = <Link*>more(model.links, model.link_count, &model.link_room, sizeof(Link))
        model.links[model.link_count] = Link(
            kind, model.rank_of(name), self.number(name), name.length,
            task, self.ids.nodes[task].id.length)
        model.link_count += 1
        return 0

    cdef int follow(self, uint32_t number) except -1:
        """Find what a task spec refers to, directly or through the task that it repeats."""
        cdef uint32_t passed = 0, inner
        while self.named[number].target == UNKNOWN:
            if self.named[number].link != UNKNOWN:
                inner = self.model.links[self.named[number].link].target
                self.named[number].target = NOTHING if inner == NOWHERE else inner
                break
            # Follow the chain to its end; a chain that leads into itself refers to nothing.
            self.named[number].target = NOTHING
            self.numbers = <uint32_t*>more(
                self.numbers, passed, &self.numbers_room, sizeof(uint32_t))
            self.numbers[passed] = number
            passed += 1
            if self.first(self.task(number).task_spec) != c'"':
                break
            inner = self.ids.find(self.string(self.task(number).task_spec))
            if inner >= self.tasks:
                break
            number = inner
        while passed:
            passed -= 1
            self.named[self.numbers[passed]].target = self.named[number].target
        return 0
