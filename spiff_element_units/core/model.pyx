"""Slices of a workflow -> its processes, their elements, and what they refer to, as numbers.

Here the rules are kept of what a process spec must say: a `Model` exists of good workflows alone,
and a Fault names the place that is not good. Where a key is repeated, the last member counts, in
the place of the first, as in a `dict`.

Before 3.2 SpiffWorkflow writes no `trigger_specs`. Its engine looks, at each event, through all
subprocess specs for start events of that event. So in a workflow without any `trigger_specs`, the
root's start task triggers each process that has a start event which waits for something.

Time and memory are proportional to the text, whatever its ids are.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t
from libc.stdlib cimport free
from libc.string cimport memchr, memcmp, memset

import orjson

from .ids cimport Id, Ids, Node
from .tokens cimport unescape
from .layout cimport CALL, ELEMENT_IDS, EMBEDDED, NOWHERE, PROCESS_IDS, TRIGGER
from .memory cimport more
from .scan cimport Slice
from .slicer cimport Found, ProcessSpec, Slices, TaskSpec

from .fault import Fault


cdef inline bint is_text(Id id, const char* text, size_t length) noexcept:
    return id.length == length and memcmp(id.data, text, length) == 0


cdef bint is_reference(Id typename) noexcept:
    """Whether task specs of the type refer to a process by definition."""
    return (is_text(typename, b"CallActivity", 12) or is_text(typename, b"SubWorkflowTask", 15)
            or is_text(typename, b"TransactionSubprocess", 21)
            or is_text(typename, b"EventSubprocess", 15)
            or is_text(typename, b"AdHocSubprocess", 15))


cdef inline bint ends_with(Id id, const char* text, size_t length) noexcept:
    return id.length >= length and memcmp(id.data + id.length - length, text, length) == 0


cdef enum:
    UNKNOWN = 0xFFFFFFFF    # NOWHERE: what a new id has for everything
    NOTHING = 0xFFFFFFFE


cdef struct Named:
    # What the process that is read has for an id.
    uint32_t link           # of a task spec: its own reference, a number of the model's links
    uint32_t target         # of a task spec: the rank that it refers to, itself or through others
    uint32_t element        # number of the element, from the process's first on
    uint32_t place          # in the process's strings


cdef struct Pair:
    uint32_t element
    uint32_t target


cdef class _Reader:
    """Reads process specs into a model, one after the other."""

    cdef Model model
    cdef Slices slices
    cdef Found* found
    cdef ProcessSpec* spec  # that is read
    cdef Process* process
    cdef Ids ids            # in it: task specs first, each with the number of the last of its name
    cdef uint32_t tasks     # so many of the ids are task specs
    cdef Named* named       # by number of the id
    cdef uint32_t named_count, named_room
    cdef Pair* pairs        # what its elements refer to, as it was found
    cdef uint32_t pair_count, pair_room
    cdef uint32_t* numbers
    cdef uint32_t numbers_room

    def __cinit__(self, Model model, bytes digest):
        self.model = model
        self.slices = model.slices
        self.found = &model.slices.found
        self.ids = Ids(digest, ELEMENT_IDS)

    def __dealloc__(self):
        free(self.named)
        free(self.pairs)
        free(self.numbers)

    cdef int rank_processes(self) except -1:
        """Add the root and the subprocess specs that are not null to the model, unread."""
        cdef Ids keys = self.model.keys
        cdef uint32_t number, source
        self.add_process(self.found.root - 1)
        for number in range(self.found.first, self.found.first + self.found.count):
            keys.nodes[keys.add(self.string(self.found.processes[number].key))].value = number
        for number in range(keys.count):
            source = keys.nodes[number].value
            if self.first(self.found.processes[source].value) == c"n":
                keys.nodes[number].value = NOWHERE
            else:
                keys.nodes[number].value = self.model.count
                self.add_process(source)
        return 0

    cdef int add_process(self, uint32_t source) except -1:
        cdef Model model = self.model
        model.processes = <Process*>more(
            model.processes, model.count, &model.process_room, sizeof(Process))
        memset(&model.processes[model.count], 0, sizeof(Process))
        model.processes[model.count].source = source
        model.processes[model.count].spec = self.found.processes[source].value
        model.count += 1
        return 0

    cdef int read_processes(self) except -1:
        """Read all, the root last: what it triggers, the others say."""
        cdef uint32_t rank
        self.turn_to(0)
        for rank in range(1, self.model.count):
            self.turn_to(rank)
            self.read()
        self.turn_to(0)
        self.read()
        return 0

    cdef int turn_to(self, uint32_t rank) except -1:
        self.process = &self.model.processes[rank]
        self.spec = &self.found.processes[self.process.source]
        self.require_fields()
        return 0

    cdef bint is_root(self) noexcept:
        return self.process == self.model.processes

    cdef int read(self) except -1:
        cdef Process* process = self.process
        cdef ProcessSpec* spec = self.spec
        cdef uint32_t number
        process.key = spec.name if self.is_root() else spec.key
        process.id = self.string(process.key)
        self.ids.clear()
        self.named_count = 0
        self.pair_count = 0
        for number in range(spec.first_task, spec.first_task + spec.task_count):
            self.ids.nodes[self.number_of(self.found.tasks[number].key)].value = number
        self.tasks = self.ids.count
        self.read_links()
        self.read_elements()
        self.place_names()
        self.sort_targets()
        return 0

    # Slices

    cdef unsigned char first(self, Slice value) noexcept:
        """The first byte of a value; 0 where there is none."""
        return self.slices.data[value.at] if value.length else 0

    cdef Id string(self, Slice token) except *:
        """A string's content."""
        cdef Id id
        cdef bytes decoded
        cdef unsigned char* out
        id.data = self.slices.data + token.at + 1
        id.length = token.length - 2
        if memchr(id.data, c"\\", id.length) != NULL:
            decoded = PyBytes_FromStringAndSize(NULL, id.length)
            out = <unsigned char*>PyBytes_AS_STRING(decoded)
            self.model.decoded.append(decoded)
            id.length = unescape(id.data, id.length, out)
            id.data = out
        return id

    cdef uint32_t number_of(self, Slice token) except? 0xFFFFFFFFu:
        """The number of the id that a string is."""
        return self.number(self.string(token))

    cdef uint32_t number(self, Id id) except? 0xFFFFFFFFu:
        cdef uint32_t number = self.ids.add(id)
        if number == self.named_count:
            self.named = <Named*>more(
                self.named, self.named_count, &self.named_room, sizeof(Named))
            self.named[number] = Named(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN)
            self.named_count += 1
        return number

    cdef TaskSpec* task(self, uint32_t number) noexcept:
        return &self.found.tasks[self.ids.nodes[number].value]

    # What must be there

    cdef object fault(self, str kind, dict values):
        """What is wrong with the process, or with a task spec of it."""
        process = None if self.is_root() else self.slices.string(self.spec.key)
        return Fault(kind, process=process, **values)

    cdef object wrong_field(self, TaskSpec* task, str field, Slice value):
        cdef dict values = {"field": field}
        if task != NULL:
            values["task"] = self.slices.string(task.key)
        if not value.length:
            return self.fault("no field", values)
        values["found"] = self.first(value)
        return self.fault("field", values)

    cdef int require_fields(self) except -1:
        cdef ProcessSpec* spec = self.spec
        if self.first(spec.value) != c"{":
            raise self.fault("spec", {"found": self.first(spec.value)})
        if self.first(spec.name) != c'"':
            raise self.wrong_field(NULL, "name", spec.name)
        if self.first(spec.typename) != c'"':
            raise self.wrong_field(NULL, "typename", spec.typename)
        if self.first(spec.task_specs) != c"{":
            raise self.wrong_field(NULL, "task_specs", spec.task_specs)
        return 0

    # References

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
        """Add the references of a task spec; whether it is one, triggers aside."""
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
        """Whether a start event has a definition other than that of no event."""
        if self.first(start_event.event_definition) != c"{":
            return False
        definition = orjson.loads(self.slices.bytes_of(start_event.event_definition))
        kind = definition.get("typename")
        return isinstance(kind, str) and kind != "NoneEventDefinition"

    cdef uint32_t start_task(self) except? 0xFFFFFFFFu:
        """The start task by its typename, else the first task spec; sees whether any triggers."""
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
        """Find what a task spec refers to, itself or through the tasks that it loops over."""
        cdef uint32_t passed = 0, inner
        while self.named[number].target == UNKNOWN:
            if self.named[number].link != UNKNOWN:
                inner = self.model.links[self.named[number].link].target
                self.named[number].target = NOTHING if inner == NOWHERE else inner
                break
            # Until the chain ends; one that leads into itself refers to nothing.
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

    # Elements

    cdef int read_elements(self) except -1:
        cdef TaskSpec* task
        cdef uint32_t number, target
        self.process.first_element = self.model.element_count
        self.process.strings = self.process.id.length + self.process.key.length
        for number in range(self.tasks):
            task = self.task(number)
            target = self.named[number].target
            self.add_element(number, target)
            self.add_alias(task, "name", task.name, target)
            self.add_alias(task, "bpmn_id", task.bpmn_id, target)
        self.process.elements = self.model.element_count - self.process.first_element
        number = self.number(self.process.id)
        self.process.is_element = self.named[number].element != UNKNOWN
        self.process.hashed = self.ids.nodes[number].hashed
        return 0

    cdef int add_alias(self, TaskSpec* task, str field, Slice alias, uint32_t target) except -1:
        if self.first(alias) == 0 or self.first(alias) == c"n":
            return 0
        if self.first(alias) != c'"':
            raise self.wrong_field(task, field, alias)
        if alias.length == task.key.length and memcmp(
                self.slices.data + alias.at, self.slices.data + task.key.at, alias.length) == 0:
            return 0
        return self.add_element(self.number_of(alias), target)

    cdef int add_element(self, uint32_t number, uint32_t target) except -1:
        """An id that several task specs share refers to what each of them refers to."""
        cdef Model model = self.model
        cdef Node* node = &self.ids.nodes[number]
        cdef Named* named = &self.named[number]
        cdef Element* element
        if named.element == UNKNOWN:
            model.elements = <Element*>more(
                model.elements, model.element_count, &model.element_room, sizeof(Element))
            element = &model.elements[model.element_count]
            element.id = node.id
            element.hashed = node.hashed
            element.targets = 0
            named.element = model.element_count - self.process.first_element
            named.place = self.process.strings
            model.element_count += 1
            self.process.strings += node.id.length
        if target == UNKNOWN or target == NOTHING:
            return 0
        self.pairs = <Pair*>more(self.pairs, self.pair_count, &self.pair_room, sizeof(Pair))
        self.pairs[self.pair_count] = Pair(named.element, target)
        self.pair_count += 1
        return 0

    cdef int place_names(self) except -1:
        """Give the names in references their places; what is no element's goes behind those."""
        cdef Model model = self.model
        cdef uint32_t number
        cdef Link* link
        cdef Named* named
        self.process.first_name = model.name_count
        for number in range(self.process.first_link, model.link_count):
            link = &model.links[number]
            named = &self.named[link.name]
            if named.place == UNKNOWN:
                model.names = <Id*>more(
                    model.names, model.name_count, &model.name_room, sizeof(Id))
                model.names[model.name_count] = self.ids.nodes[link.name].id
                model.name_count += 1
                named.place = self.process.strings
                self.process.strings += link.name_length
            link.name = named.place
            link.element = self.named[link.element].place
        self.process.names = model.name_count - self.process.first_name
        return 0

    cdef int sort_targets(self) except -1:
        """Put what elements refer to into the model, in the order of the elements."""
        cdef Model model = self.model
        cdef Element* elements = &model.elements[self.process.first_element]
        cdef uint32_t number, element, next, _pair
        self.process.first_target = model.target_count
        self.process.targets = self.pair_count
        if not self.pair_count:
            return 0
        for number in range(self.pair_count):
            elements[self.pairs[number].element].targets += 1
        next = model.target_count
        for element in range(self.process.elements):
            self.numbers = <uint32_t*>more(
                self.numbers, element, &self.numbers_room, sizeof(uint32_t))
            self.numbers[element] = next
            next += elements[element].targets
        for _pair in range(self.pair_count):  # room for all, before they go where they belong
            model.targets = <uint32_t*>more(
                model.targets, model.target_count, &model.target_room, sizeof(uint32_t))
            model.target_count += 1
        for number in range(self.pair_count):
            element = self.pairs[number].element
            model.targets[self.numbers[element]] = self.pairs[number].target
            self.numbers[element] += 1
        return 0


cdef int require_specs(Slices slices) except -1:
    cdef Slice specs = slices.found.subprocess_specs
    cdef str missing = "" if slices.found.root else "spec"
    if not missing and not specs.length:
        missing = "subprocess_specs"
    if missing:
        raise Fault("no specs", field=missing)
    if slices.data[specs.at] != c"{":
        raise Fault("subprocess_specs", found=slices.data[specs.at])
    return 0


cdef class Model:

    def __cinit__(self, Slices slices not None, bytes digest not None):
        cdef _Reader reader
        cdef uint32_t rank
        self.slices = slices
        self.decoded = []
        self.keys = Ids(digest, PROCESS_IDS)
        require_specs(slices)
        reader = _Reader(self, digest)
        reader.rank_processes()
        reader.read_processes()
        if self.has_triggers:
            for rank in range(self.count):
                self.processes[rank].by_events = False
        slices.forget_tasks()

    def __dealloc__(self):
        free(self.processes)
        free(self.elements)
        free(self.targets)
        free(self.links)
        free(self.names)

    cdef uint32_t rank_of(self, Id name) noexcept:
        """The rank of the process of `subprocess_specs` that a reference names, or NOWHERE."""
        cdef uint32_t number = self.keys.find(name)
        return NOWHERE if number == NOWHERE else self.keys.nodes[number].value
