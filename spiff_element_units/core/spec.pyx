"""The process spec that is being read: the fields that it must have, and its ids as numbers.

A Fault names the process, the task spec and the field that are wrong.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t
from libc.stdlib cimport free
from libc.string cimport memchr

from .ids cimport Id, Ids
from .layout cimport ELEMENT_IDS
from .memory cimport more
from .model cimport Model, Process
from .scan cimport Slice
from .slicer cimport ProcessSpec, TaskSpec
from .tokens cimport unescape

from .fault import Fault


cdef class Spec:

    def __cinit__(self, Model model not None, bytes digest not None):
        self.model = model
        self.slices = model.slices
        self.found = &model.slices.found
        self.ids = Ids(digest, ELEMENT_IDS)

    def __dealloc__(self):
        free(self.named)

    cdef int turn_to(self, uint32_t rank) except -1:
        self.process = &self.model.processes[rank]
        self.spec = &self.found.processes[self.process.source]
        self.require_fields()
        return 0

    cdef bint is_root(self) noexcept:
        return self.process == self.model.processes

    cdef int name_tasks(self) except -1:
        """Read the id of the process, and number its task specs by name."""
        cdef Process* process = self.process
        cdef ProcessSpec* spec = self.spec
        cdef uint32_t number
        process.key = spec.name if self.is_root() else spec.key
        process.id = self.string(process.key)
        self.ids.clear()
        self.named_count = 0
        for number in range(spec.first_task, spec.first_task + spec.task_count):
            self.ids.nodes[self.number_of(self.found.tasks[number].key)].value = number
        self.tasks = self.ids.count
        return 0

    cdef unsigned char first(self, Slice value) noexcept:
        """The first byte of a value; 0 if there is no value."""
        return self.slices.data[value.at] if value.length else 0

    cdef Id string(self, Slice token) except *:
        """The content of a string."""
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
        """The number of the id in a string."""
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

    cdef object fault(self, str kind, dict values):
        """A Fault about the process, or about a task spec of it."""
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
