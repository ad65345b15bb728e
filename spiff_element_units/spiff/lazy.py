"""Dicts whose content is made only when somebody reads it."""

from __future__ import annotations

from functools import wraps
from typing import Any, Callable, Optional

_put = dict.__setitem__


class LazyDict(dict[str, Any]):
    """A dict that calls `make` for its content when somebody first reads it."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[], dict[str, Any]]) -> None:
        # A placeholder: json would write an empty dict as {} without reading it.
        _put(self, "", None)
        self._make: Optional[Callable[[], dict[str, Any]]] = make

    @property
    def filled(self) -> bool:
        """Whether the content was made."""
        return self._make is None

    def fill(self) -> None:
        """Make the content now."""
        make, self._make = self._make, None
        if make is not None:
            dict.clear(self)
            dict.update(self, make())

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


def _looked_at(name: str) -> Any:
    method = getattr(dict, name)

    @wraps(method)
    def look(self: LazyDict, *args: Any, **kwargs: Any) -> Any:
        self.fill()
        return method(self, *args, **kwargs)

    return look


for _name in (
    *("__contains__", "__delitem__", "__eq__", "__getitem__", "__ior__", "__iter__", "__len__"),
    *("__ne__", "__or__", "__repr__", "__reversed__", "__ror__", "__setitem__", "clear", "copy"),
    *("get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"),
):
    setattr(LazyDict, _name, _looked_at(_name))
