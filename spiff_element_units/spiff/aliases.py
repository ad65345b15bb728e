"""Aliases of a serializer, its registry and a converter, to take their places for one call.

An alias is an object of a subclass of its original's class, and shares the `__dict__` of its
original: whatever the application's methods read or set, they read and set it there. It differs in
the few methods that are here. What those do is up to a `Call`, of which each save and each resume
makes one.
"""

from __future__ import annotations

from functools import lru_cache, partial
from types import MethodType
from typing import Any, Callable


class Call:
    """One save or resume: what the aliases have in common, and what they do otherwise."""

    typename: Any = None  # that of the workflow, once it is known

    def __init__(self, serializer: Any) -> None:
        self.original = serializer.registry
        self.registry = _alias(_registry_class, self.original, self)
        self.serializer = _alias(_serializer_class, serializer, self)

    def to_dict(self, native: Callable[..., Any], obj: Any, kwargs: dict[str, Any]) -> Any:
        """The serializer's `to_dict`."""
        return native(obj, **kwargs)

    def migrate(self, native: Callable[..., Any], run: Any) -> Any:
        """The serializer's `migrate`."""
        return native(run)

    def convert(self, native: Callable[..., Any], obj: Any, kwargs: dict[str, Any]) -> Any:
        """The registry's `convert`."""
        return self.original.convert(obj, **kwargs)

    def restore(self, native: Callable[..., Any], value: Any, kwargs: dict[str, Any]) -> Any:
        """The registry's `restore`."""
        return self.original.restore(value, **kwargs)

    def mapping_to_dict(self, mapping: Any) -> Any:
        """What a converter's `mapping_to_dict` gives instead of its own; None for that."""
        return None

    def specs_from_dict(self, mapping: Any) -> Any:
        """What a converter's `mapping_from_dict` gives instead of the specs; None for others."""
        return None

    def subprocesses_from_dict(
        self, native: Callable[..., Any], dct: dict[str, Any], workflow: Any, rest: Any
    ) -> Any:
        """A converter's `subprocesses_from_dict`."""
        return native(dct, workflow, *rest)

    def conversions(self, table: dict[str, Any]) -> dict[str, Any]:
        """A table of the registry, in which the converter of the workflow is an alias."""
        if self.typename not in table:
            return table
        return {**table, self.typename: self._aliased(table[self.typename])}

    def converter_method(self, conversion: Any) -> Any:
        """The method of a converter that a conversion of the registry calls; None if none."""
        for one in (conversion, *getattr(conversion, "args", ())):
            if getattr(getattr(one, "__self__", None), "registry", None) is self.original:
                return one
        return None

    def _aliased(self, conversion: Any) -> Any:
        """A conversion by an alias of its converter; as it is where there is no converter."""
        method = self.converter_method(conversion)
        if method is None:
            return conversion
        alias = _alias(_converter_class, method.__self__, self)
        alias._units_converter = method.__self__
        aliased = MethodType(method.__func__, alias)
        if method is conversion:
            return aliased
        args = [aliased if arg is method else arg for arg in conversion.args]
        return partial(conversion.func, *args, **conversion.keywords)


def _alias(make_class: Callable[[type], type], original: Any, call: Call) -> Any:
    alias: Any = object.__new__(make_class(type(original)))
    object.__setattr__(alias, "__dict__", original.__dict__)
    alias._units_call = call
    return alias


@lru_cache(maxsize=256)
def _serializer_class(base: Any) -> type:
    class Alias(base):  # type: ignore[misc]
        __slots__ = ("_units_call",)

        @property
        def registry(self) -> Any:
            return self._units_call.registry

        def to_dict(self, obj: Any, **kwargs: Any) -> Any:
            return self._units_call.to_dict(super().to_dict, obj, kwargs)

        def migrate(self, dct: Any) -> Any:
            return self._units_call.migrate(super().migrate, dct)

    return _named_as(base, Alias)


@lru_cache(maxsize=256)
def _registry_class(base: Any) -> type:
    class Alias(base):  # type: ignore[misc]
        __slots__ = ("_units_call",)

        @property
        def convert_to_dict(self) -> Any:
            return self._units_call.conversions(self.__dict__["convert_to_dict"])

        @property
        def convert_from_dict(self) -> Any:
            return self._units_call.conversions(self.__dict__["convert_from_dict"])

        def convert(self, obj: Any, **kwargs: Any) -> Any:
            return self._units_call.convert(super().convert, obj, kwargs)

        def restore(self, value: Any, **kwargs: Any) -> Any:
            return self._units_call.restore(super().restore, value, kwargs)

    return _named_as(base, Alias)


@lru_cache(maxsize=256)
def _converter_class(base: Any) -> type:
    class Alias(base):  # type: ignore[misc]
        __slots__ = ("_units_call", "_units_converter")

        @property
        def registry(self) -> Any:
            return self._units_call.registry

        def mapping_to_dict(self, mapping: Any, **kwargs: Any) -> Any:
            made = self._units_call.mapping_to_dict(mapping)
            if made is not None:
                return made
            return self._units_converter.mapping_to_dict(mapping, **kwargs)

        def mapping_from_dict(self, mapping: Any, *args: Any, **kwargs: Any) -> Any:
            specs = self._units_call.specs_from_dict(mapping)
            if specs is not None:
                return specs
            return self._units_converter.mapping_from_dict(mapping, *args, **kwargs)

        def subprocesses_from_dict(self, dct: Any, workflow: Any, *rest: Any) -> Any:
            native = super().subprocesses_from_dict
            return self._units_call.subprocesses_from_dict(native, dct, workflow, rest)

    return _named_as(base, Alias)


def _named_as(base: type, alias: type) -> type:
    alias.__name__, alias.__qualname__ = base.__name__, base.__qualname__
    alias.__module__ = base.__module__
    return alias
