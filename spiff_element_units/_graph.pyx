"""Processes, their elements and references, and which processes a unit needs.

`read_process` takes a parsed process spec and says what the unit rules need to know of it.
`Graph` walks references between processes known by index. It asks whoever holds the processes for
the links of one at a time, so a walk touches what the unit holds and not the whole workflow.

Every walk is a loop over a queue (breadth first): a cycle ends it and depth costs no C stack.
"""

from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free, realloc

from ._layout cimport load32

from .errors import InvalidWorkflowSpec

KINDS = ("call", "embedded", "trigger")
DEFERS = {"calls": DEFER_CALLS, "all": DEFER_ALL, "nothing": DEFER_NOTHING}

cdef uint32_t FEW = 64

# These are references by definition; other typenames are where their "spec" is a string.
cdef frozenset REFERENCES = frozenset(
    ("CallActivity", "SubWorkflowTask", "TransactionSubprocess", "EventSubprocess",
     "AdHocSubprocess")
)


cdef class Process:

    def __init__(self):
        self.elements = {}
        self.references = []


cpdef str describe(object value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, (int, float)):
        return "a number"
    return "an array" if isinstance(value, list) else "an object"


cdef object wrong(str where, str field, object owner, str expected):
    if field in owner:
        return InvalidWorkflowSpec(
            f'{where}.{field} must be {expected}, not {describe(owner[field])}')
    return InvalidWorkflowSpec(
        f'{where} has no "{field}" ({expected}); serialize the workflow with SpiffWorkflow again')


cdef object required(dict owner, str field, type kind, str expected, str where):
    value = owner.get(field)
    if not isinstance(value, kind):
        raise wrong(where, field, owner, expected)
    return value


cdef str reference_of(dict task, str typename, str where):
    """The process that a task spec refers to, or None."""
    value = task.get("spec")
    if isinstance(value, str):
        return value
    if typename in REFERENCES:
        raise wrong(where, "spec", task, "a string")
    return None


cdef dict referred(dict task_specs, dict own):
    """Task name -> the process that it refers to, itself or through the tasks it loops over."""
    cdef dict targets = dict(own)
    cdef list chain
    for name in task_specs:
        chain = []
        while name not in targets:
            targets[name] = None  # until the chain ends; a chain into itself refers to nothing
            chain.append(name)
            inner = (<dict>task_specs[name]).get("task_spec")
            if not isinstance(inner, str) or inner not in task_specs:
                break
            name = inner
        for outer in chain:
            targets[outer] = targets[name]
    return targets


cdef int read_triggers(Process process, dict task, str element, str where) except -1:
    triggers = task.get("trigger_specs")
    if triggers is None:
        return 0
    if not isinstance(triggers, list):
        raise wrong(where, "trigger_specs", task, "an array of strings")
    for trigger in <list>triggers:
        if not isinstance(trigger, str):
            raise InvalidWorkflowSpec(
                f"{where}.trigger_specs must hold strings, not {describe(trigger)}")
        process.references.append((TRIGGER, trigger, element))
    return 0


cdef int add_element(dict elements, str element, str target) except -1:
    """An id that several task specs share refers to what each of them refers to."""
    targets = elements.setdefault(element, None)
    if target is not None:
        if targets is None:
            elements[element] = [target]
        else:
            (<list>targets).append(target)
    return 0


cdef int read_task(Process process, dict own, str name, object task, str where) except -1:
    cdef str typename, target
    if not isinstance(task, dict):
        raise InvalidWorkflowSpec(f'{where}.task_specs["{name}"] must be an object, '
                                  f"not {describe(task)}")
    kind = (<dict>task).get("typename")
    if isinstance(kind, str) and not ("spec" in task or "trigger_specs" in task
                                      or kind in REFERENCES):
        return 0
    where = f'{where}.task_specs["{name}"]'
    typename = required(task, "typename", str, "a string", where)
    target = reference_of(task, typename, where)
    if target is not None:
        own[name] = target
        process.references.append((CALL if typename == "CallActivity" else EMBEDDED, target, name))
    return read_triggers(process, task, name, where)


cdef int read_ids(dict elements, str name, dict task, str target, str where) except -1:
    add_element(elements, name, target)
    for field in ("name", "bpmn_id"):
        alias = task.get(field)
        if alias is not None and alias != name:
            if not isinstance(alias, str):
                raise wrong(f'{where}.task_specs["{name}"]', field, task, "a string")
            add_element(elements, alias, target)
    return 0


cpdef Process read_process(object spec, str where):
    """Read a parsed process spec. `where` is its place in the JSON, for messages.

    Raises InvalidWorkflowSpec where a field is missing or of the wrong type.
    """
    cdef Process process = Process()
    cdef dict task_specs, own = {}, targets
    if not isinstance(spec, dict):
        raise InvalidWorkflowSpec(f"{where} must be an object, not {describe(spec)}")
    required(spec, "name", str, "a string", where)
    required(spec, "typename", str, "a string", where)
    task_specs = required(spec, "task_specs", dict, "an object", where)
    for name, task in task_specs.items():
        read_task(process, own, name, task, where)
    targets = referred(task_specs, own) if own else own
    for name, task in task_specs.items():
        read_ids(process.elements, name, task, targets.get(name), where)
    return process


cpdef list embedding_order(list children):
    """Indexes in depth-first preorder over `children` (index -> indexes), and where each ends.

    Returns a list of (index, number of indexes in its subtree); each index comes once, under the
    first parent that reaches it. Parents are tried in order of index, but not before everything
    above them, so that a subtree is as whole as it can be.
    """
    cdef Py_ssize_t count = len(children)
    cdef list order = [], stack, has_parent = [False] * count
    cdef list placed = [-1] * count
    cdef list sizes = []
    cdef Py_ssize_t index, child, position
    for index in range(count):
        for child in children[index]:
            if child != index:
                has_parent[child] = True
    starts = [index for index in range(count) if not has_parent[index]]
    starts += [index for index in range(count) if has_parent[index]]
    for index in starts:
        if placed[index] >= 0:
            continue
        stack = [(index, False)]
        while stack:
            child, leaving = stack.pop()
            if leaving:
                position = placed[child]
                sizes[position] = len(order) - position
            elif placed[child] < 0:
                placed[child] = len(order)
                order.append(child)
                sizes.append(0)
                stack.append((child, True))
                stack.extend([(below, False) for below in reversed(children[child])
                              if placed[below] < 0])
    return list(zip(order, sizes))


cdef class IndexSet:

    def __cinit__(self, uint32_t count):
        self.count = count
        self.marks = <unsigned char*>calloc(<size_t>count + 1, 1)
        if self.marks == NULL:
            raise MemoryError()

    def __dealloc__(self):
        free(self.marks)
        free(self.items)

    cdef bint has(self, uint32_t index) noexcept:
        return index < self.count and self.marks[index]

    cdef int add(self, uint32_t index) except -1:
        cdef uint32_t capacity
        cdef void* grown
        if index >= self.count or self.marks[index]:
            return 0
        if self.size == self.capacity:
            capacity = 2 * self.capacity if self.capacity else 16
            grown = realloc(self.items, <size_t>capacity * sizeof(uint32_t))
            if grown == NULL:
                raise MemoryError()
            self.items = <uint32_t*>grown
            self.capacity = capacity
        self.marks[index] = 1
        self.items[self.size] = index
        self.size += 1
        return 1


cdef class Graph:
    """Links are pairs of 32-bit numbers (kind, target), callers single ones, as a pack has them."""

    cdef const unsigned char* links(self, uint32_t index, uint32_t* count) except? NULL:
        raise NotImplementedError

    cdef const unsigned char* callers(self, uint32_t index, uint32_t* count) except? NULL:
        raise NotImplementedError

    cdef bint owns(self, uint32_t index, bytes element) except -1:
        """Whether a process has or is the element."""
        raise NotImplementedError

    cdef list may_own(self, bytes element, uint32_t most):
        """The processes that own an element, and perhaps others; None where more than `most`."""
        raise NotImplementedError

    cdef int prepare(self, uint32_t index, bint run) except -1:
        raise NotImplementedError

    cdef bint close(self, IndexSet members, uint32_t root, int defer, bint specs) except -1:
        """Add to `members` what they need in turn. Tells whether that leads back to `root`.

        With `specs` the members' specs will be wanted too, and are prepared on the way.
        """
        cdef uint32_t done = 0, count, position, kind, target
        cdef const unsigned char* link
        cdef bint back = False
        while done < members.size:
            if specs:
                self.prepare(members.items[done], defer != DEFER_ALL)
            if defer == DEFER_ALL:
                done += 1
                continue
            link = self.links(members.items[done], &count)
            for position in range(count):
                kind = load32(link + 8 * position)
                target = load32(link + 8 * position + 4)
                if target != NOWHERE and (kind != CALL or defer == DEFER_NOTHING):
                    back = back or target == root
                    members.add(target)
            done += 1
        return back

    cdef int spread(self, IndexSet members, uint32_t position, IndexSet within) except -1:
        """Add the targets of one member, where they lie `within`."""
        cdef uint32_t count, number, target
        cdef const unsigned char* link = self.links(members.items[position], &count)
        for number in range(count):
            target = load32(link + 8 * number + 4)
            if target != NOWHERE and (within is None or within.has(target)):
                members.add(target)
        return 0

    cdef int gather(self, IndexSet members, uint32_t position, IndexSet within) except -1:
        """Add the callers of one member, where they lie `within`."""
        cdef uint32_t count, number, caller
        cdef const unsigned char* item = self.callers(members.items[position], &count)
        for number in range(count):
            caller = load32(item + 4 * number)
            if within is None or within.has(caller):
                members.add(caller)
        return 0

    cdef IndexSet paths(self, uint32_t start, bytes element):
        """Every process on a path from `start` to an owner of `element`; empty without a path.

        Two walks take turns, forward from `start` and backward from the owners; the first to end
        bounds the other, so that the cost is at most twice the smaller of the two plus the result.
        Where the owners are many, the walk forward goes ahead: where it ends soon, they need not
        even be listed.
        """
        cdef IndexSet forward = IndexSet(self.count)
        cdef IndexSet backward = IndexSet(self.count)
        cdef IndexSet found = IndexSet(self.count)
        cdef uint32_t ahead = 0, behind = 0, position = 0
        cdef Py_ssize_t tried = 0, total
        cdef list candidates
        forward.add(start)
        candidates = self.may_own(element, FEW)
        if candidates is None:
            while ahead < forward.size and ahead < FEW:
                self.spread(forward, ahead, None)
                ahead += 1
            candidates = [] if ahead == forward.size else self.may_own(element, NOWHERE)
        total = len(candidates)
        while ahead < forward.size and (tried < total or behind < backward.size):
            self.spread(forward, ahead, None)
            ahead += 1
            if behind < backward.size:
                self.gather(backward, behind, None)
                behind += 1
            else:
                if self.owns(candidates[tried], element):
                    backward.add(candidates[tried])
                tried += 1
        if ahead == forward.size:
            for position in range(forward.size):
                if self.owns(forward.items[position], element):
                    found.add(forward.items[position])
            position = 0
            while position < found.size:
                self.gather(found, position, forward)
                position += 1
        elif backward.has(start):
            found.add(start)
            while position < found.size:
                self.spread(found, position, backward)
                position += 1
        return found

    cdef bint refers(self, IndexSet members, uint32_t target) except -1:
        """Whether one of the members refers to `target`."""
        cdef uint32_t position, number, count
        cdef const unsigned char* link
        for position in range(members.size):
            link = self.links(members.items[position], &count)
            for number in range(count):
                if load32(link + 8 * number + 4) == target:
                    return True
        return False
