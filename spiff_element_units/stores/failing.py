"""What the adapters say when a store fails: which store, what it was asked for, and why.

The messages of other libraries may contain credentials. None of them gets into a message, nor into
the exception that is its cause.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import quote, quote_plus

from ..errors import CacheError

TIMEOUT = 10.0
"""Seconds that a store has for one request, if nothing else is said."""

_LONGEST = 400  # characters of another library's message

_USER = re.compile(r"//[^/@\s]*@")
_QUERY = re.compile(r"(\w+://[^\s?]+)\?\S*")


def without_credentials(text: str, secrets: Iterable[str]) -> str:
    """A text without these secrets, and without users, passwords and queries of URLs."""
    for secret in filter(None, secrets):
        for form in {secret, quote(secret, safe=""), quote_plus(secret)}:
            text = text.replace(form, "***")
    return _QUERY.sub(r"\1", _USER.sub("//***@", text))


def reason_of(error: BaseException, secrets: Iterable[str]) -> str:
    """The message of another library's error in one line, without these secrets."""
    reason = str(error).partition("\n\nDebug source")[0]
    reason = " ".join(without_credentials(reason, secrets).split()) or type(error).__name__
    return reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]} (cut off)"


@contextmanager
def failing(
    store: object,
    doing: str,
    kinds: tuple[type[BaseException], ...],
    secrets: Iterable[str] = (),
) -> Iterator[None]:
    """Raise errors of these kinds as a CacheError."""
    failed = None
    try:
        yield
    except kinds as error:
        failed = failure(store, doing, error, secrets)
    if failed is not None:  # outside of `except`, so that the error is not its context either
        raise failed from failed.__cause__


def failure(
    store: object, doing: str, error: BaseException, secrets: Iterable[str] = ()
) -> CacheError:
    """The error of a store that failed. Its cause is `error`, if that has no credentials."""
    secrets = [*secrets]  # read twice
    told = CacheError(f"{store} cannot {doing}: {reason_of(error, secrets)}")
    whole = f"{error}{error!r}{error.__cause__!r}{error.__context__!r}"
    told.__cause__ = error if without_credentials(whole, secrets) == whole else None
    return told


def missing(what: str, requirement: str, extra: str) -> str:
    """The message if the library of an adapter is not installed."""
    return (
        f"{what} needs {requirement}: pip install 'spiff-element-units[{extra}]', "
        f"or pip install '{requirement}'"
    )
