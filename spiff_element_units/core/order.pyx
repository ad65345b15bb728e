"""The order of the processes in a pack, and which processes refer to which."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from .layout cimport CALL, NOWHERE
from .model cimport Link, Model


cdef class Numbers:

    def __dealloc__(self):
        free(self.at)


cdef Numbers numbers(size_t count, uint32_t value):
    """An array of `count` numbers that all have the same value."""
    cdef Numbers made = Numbers.__new__(Numbers)
    cdef size_t place
    made.at = <uint32_t*>malloc((count + 1) * sizeof(uint32_t))
    if made.at == NULL:
        raise MemoryError()
    for place in range(count):
        made.at[place] = value
    return made


cdef class Targets:
    """For each process by rank, the ranks that it refers to, each once.

    Those of process r are `ranks.at[first.at[r]:first.at[r + 1]]`. With `embedded`, calls are left
    out.
    """

    def __cinit__(self, Model model, bint embedded):
        cdef Numbers seen = numbers(model.count, NOWHERE)
        cdef uint32_t rank, number, target, count = 0
        cdef Link* link
        self.first = numbers(model.count + 1, 0)
        self.ranks = numbers(model.link_count, 0)
        for rank in range(model.count):
            self.first.at[rank] = count
            link = model.links + model.processes[rank].first_link
            for number in range(model.processes[rank].links):
                target = link[number].target
                if (target != NOWHERE and seen.at[target] != rank
                        and not (embedded and link[number].kind == CALL)):
                    seen.at[target] = rank
                    self.ranks.at[count] = target
                    count += 1
        self.first.at[model.count] = count


cdef class Order:
    """The processes by index: in depth-first preorder over what they embed.

    Each process comes once, under the first parent that reaches it. Parents come in order of rank,
    but those without a parent come first, so that subtrees stay together where that is possible. A
    `run` is the number of processes in a subtree, its root included.
    """

    def __cinit__(self, Model model):
        cdef uint32_t rank, number
        cdef Numbers has_parent = numbers(model.count, 0)
        self.ranks = numbers(model.count, 0)
        self.runs = numbers(model.count, 0)
        self.indexes = numbers(model.count, NOWHERE)
        self.stack = numbers(model.count, 0)
        self.next = numbers(model.count, 0)
        self.children = Targets(model, True)
        memcpy(self.next.at, self.children.first.at, model.count * sizeof(uint32_t))
        for rank in range(model.count):
            for number in range(self.children.first.at[rank], self.children.first.at[rank + 1]):
                if self.children.ranks.at[number] != rank:
                    has_parent.at[self.children.ranks.at[number]] = 1
        for number in range(2):
            for rank in range(model.count):
                if has_parent.at[rank] == number and self.indexes.at[rank] == NOWHERE:
                    self.place_subtree(rank)

    cdef void place(self, uint32_t rank) noexcept:
        self.indexes.at[rank] = self.placed
        self.ranks.at[self.placed] = rank
        self.placed += 1

    cdef void place_subtree(self, uint32_t rank) noexcept:
        cdef uint32_t depth = 1, child
        self.place(rank)
        self.stack.at[0] = rank
        while depth:
            rank = self.stack.at[depth - 1]
            if self.next.at[rank] == self.children.first.at[rank + 1]:
                self.runs.at[self.indexes.at[rank]] = self.placed - self.indexes.at[rank]
                depth -= 1
                continue
            child = self.children.ranks.at[self.next.at[rank]]
            self.next.at[rank] += 1
            if self.indexes.at[child] == NOWHERE:
                self.place(child)
                self.stack.at[depth] = child
                depth += 1


cdef class Callers:
    """For each process by rank, the indexes of the processes that refer to it, by their ranks.

    Those of process r are `indexes.at[first.at[r]:first.at[r + 1]]`.
    """

    def __cinit__(self, Model model, Order order):
        cdef Targets targets = Targets(model, False)
        cdef uint32_t rank, number, place, count = targets.first.at[model.count]
        self.first = numbers(model.count + 2, 0)
        self.indexes = numbers(count, 0)
        # Counts are two places further, and their sums are one place further. Filling in the
        # callers moves each sum to its own place.
        for number in range(count):
            self.first.at[targets.ranks.at[number] + 2] += 1
        for rank in range(model.count):
            self.first.at[rank + 2] += self.first.at[rank + 1]
        for rank in range(model.count):
            for number in range(targets.first.at[rank], targets.first.at[rank + 1]):
                place = targets.ranks.at[number] + 1
                self.indexes.at[self.first.at[place]] = order.indexes.at[rank]
                self.first.at[place] += 1

    cdef uint32_t count(self, uint32_t rank) noexcept:
        return self.first.at[rank + 1] - self.first.at[rank]


cdef Numbers leading(Model model, Order order, Callers callers):
    """By index: 1 if references lead from the process to one that events start, otherwise 0."""
    cdef Numbers leads = numbers(model.count, 0)
    cdef Numbers waiting = numbers(2 * <size_t>model.count, 0)  # ranks
    cdef uint32_t rank, number, caller, done = 0, count = 0
    for rank in range(model.count):
        if model.processes[rank].by_events:
            waiting.at[count] = rank
            count += 1
    while done < count:
        rank = waiting.at[done]
        done += 1
        for number in range(callers.first.at[rank], callers.first.at[rank + 1]):
            caller = callers.indexes.at[number]
            if not leads.at[caller]:
                leads.at[caller] = 1
                waiting.at[count] = order.ranks.at[caller]
                count += 1
    return leads
