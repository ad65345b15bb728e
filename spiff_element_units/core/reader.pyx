"""Slices of a workflow -> its model. `references` says what a process refers to.

A model is made only of a good workflow: otherwise a Fault names the place that is wrong. If a key
is repeated, the last member counts, in the place of the first, as in a `dict`.

Time and memory are proportional to the text for any ids.
"""

from libc.stdint cimport uint32_t
from libc.stdlib cimport free
from libc.string cimport memcmp, memset

from .ids cimport Id, Ids, Node
from .layout cimport NOWHERE
from .memory cimport more
from .model cimport Element, Link, Model, Process
from .references cimport References
from .scan cimport Slice
from .slicer cimport Slices, TaskSpec
from .spec cimport NOTHING, UNKNOWN, Named

from .fault import Fault


cdef struct Pair:
    uint32_t element
    uint32_t target


cdef class _Reader(References):
    """Reads process specs into a model, one after the other."""

    cdef Pair* pairs        # what the elements of the process refer to, as it was found
    cdef uint32_t pair_count, pair_room

    def __dealloc__(self):
        free(self.pairs)

    cdef int rank_processes(self) except -1:
        """Add the root and the subprocess specs that are not null to the model; read them later."""
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
        """Read every process, the root last: the other processes say what the root triggers."""
        cdef uint32_t rank
        self.turn_to(0)
        for rank in range(1, self.model.count):
            self.turn_to(rank)
            self.read()
        self.turn_to(0)
        self.read()
        return 0

    cdef int read(self) except -1:
        self.pair_count = 0
        self.name_tasks()
        self.read_links()
        self.read_elements()
        self.place_names()
        self.sort_targets()
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
        """Add an element and its target. An id of several task specs has all of their targets."""
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
        """Give the names in references their places. Names of no element follow the elements."""
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
        """Add the targets of the elements to the model, in the order of the elements."""
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
        for _pair in range(self.pair_count):  # make room for all of them before placing any
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


cdef Model read_model(Slices slices, bytes digest):
    """The model of a workflow. Raises Fault."""
    cdef Model model = Model(slices, digest)
    cdef _Reader reader
    cdef uint32_t rank
    require_specs(slices)
    reader = _Reader(model, digest)
    reader.rank_processes()
    reader.read_processes()
    if model.has_triggers:
        for rank in range(model.count):
            model.processes[rank].by_events = False
    slices.forget_tasks()
    return model
