"""`Deployments`: returns the loader of a process, as its model files are now.

It promises:

- A model is parsed only if an answer that its parse got from the files has changed, or its pack is
  gone.
- The same files, SpiffWorkflow and serializer give the same cache key on every machine.
- What a parse has asked is kept in the cache, so a new worker does not parse the model again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Callable, Optional, Union

from SpiffWorkflow.version import __version__ as spiff_version

from ..cache.notes import read_note, write_note
from ..cache.sources import Path, Sources
from ..errors import CorruptPack, ElementUnitsError, InvalidWorkflowSpec, UnitNotFound
from .forks import Locks
from .loader import SpecLoader
from .loaders import SpecLoaders
from .model_files import NOTHING, Contents, FileFacts, Look, ModelFiles, Question, key_of, look
from .specs import Serializer, Spec, plain

Parse = Callable[[str, ModelFiles], tuple[Spec, Mapping[str, Optional[Spec]]]]

_FORMAT = 1  # of the note, and of what is hashed in a key


class Deployments:
    """The loaders of models that are in files. A model is parsed again if one of its files changes.

        deployments = Deployments(loaders, parse, "models")
        workflow = deployments["order"].start("order")

    `loaders` is a SpecLoaders. `parse(process_id, files)` is your function that parses a model and
    returns its spec and its `subprocess_specs`. It reads files with `files`, a ModelFiles.
    `where` is the folder with the model files, or a list of files.

    The cache key of a model depends on what `parse` has read, on the version of SpiffWorkflow, and
    on the version of the serializer.

    With `trust_stat`, a file is read again only if its size, times or inode have changed. Without
    it, all files are read each time.

    Several threads can use it at the same time, and you can use it after a fork. Each model is
    parsed by one thread, and only threads that need the same model wait for it.
    """

    def __init__(
        self,
        loaders: SpecLoaders,
        parse: Parse,
        where: Union[Path, Iterable[Path]],
        *,
        trust_stat: bool = True,
    ) -> None:
        if not isinstance(loaders, SpecLoaders):
            raise TypeError(f"loaders must be a SpecLoaders, not {type(loaders).__name__}")
        if not callable(parse):
            raise TypeError(f"parse must be callable, not {type(parse).__name__}")
        self._loaders = loaders
        self._parse = parse
        self._sources = Sources(where)
        self._trust_stat = trust_stat
        self._versions = [_FORMAT, spiff_version, str(loaders.serializer.VERSION)]
        self._note = f"deployments of {self._sources.label}"
        self._look: Optional[Look] = None
        self._questions: dict[str, list[Question]] = {}
        self._keys: dict[str, tuple[Contents, str]] = {}
        self._parsing = Locks()
        self._parses: dict[str, int] = {}
        self._texts: dict[str, str] = {}  # by cache key, until they are cached

    def __repr__(self) -> str:
        return f"<Deployments of {self._sources!r} in {str(self._loaders.cache)!r}>"

    @property
    def loaders(self) -> SpecLoaders:
        """The registry of the loaders."""
        return self._loaders

    def __getitem__(self, process_id: str) -> SpecLoader:
        """Return the loader of a process, as the files are now.

        Raises UnitNotFound if no file contains the process, CacheError if a file cannot be read,
        InvalidWorkflowSpec if the model cannot be serialized, ElementUnitsError if `parse` has read
        no file, and the errors of `parse`.
        """
        process_id = plain(process_id)
        while True:
            parses = self._parses.get(process_id, 0)
            key = self._key(process_id)
            if key is not None:
                try:
                    return self._opened(key)
                except (UnitNotFound, CorruptPack):  # it was pruned, or must be made again
                    pass
            made = self._made(process_id, parses)
            if made is not None:
                try:
                    return self._opened(made)
                finally:
                    self._texts.pop(made, None)

    def _opened(self, key: str) -> SpecLoader:
        text = self._texts.get(key)
        return self._loaders._get(key, None if text is None else lambda key: text)

    def _key(self, process_id: str) -> Optional[str]:
        """The key of a model, as the files are now; None if nobody knows how it is parsed."""
        before = self._look
        if before is None:
            before = self._remembered()
        self._look = seen = look(self._sources, before, self._trust_stat)
        known = self._keys.get(process_id)
        if known is not None and known[0] is seen.contents:
            return known[1]
        questions = self._questions.get(process_id)
        if questions is None:
            return None
        answers = ((one, seen.contents.answer(one)) for one in questions)
        key = key_of(process_id, self._versions, answers)
        self._keys[process_id] = seen.contents, key
        return key

    def _made(self, process_id: str, parses: int) -> Optional[str]:
        """Parse a model and return its key; None if another thread has just done that."""
        lock = self._parsing.of(process_id)
        with lock.now:
            if self._parses.get(process_id, 0) != parses or self._learnt(process_id):
                return None
            key, text, questions = self._parsed(process_id)
            self._texts[key] = text
            self._asks(process_id, questions)
            self._parses[process_id] = parses + 1
        self._remember(process_id)
        return key

    def _learnt(self, process_id: str) -> bool:
        """Whether another worker has parsed a model since, and noted other questions."""
        noted = self._noted()[1].get(process_id)
        if noted is None or noted == self._questions.get(process_id):
            return False
        self._asks(process_id, noted)
        return True

    def _asks(self, process_id: str, questions: list[Question]) -> None:
        self._questions[process_id] = questions
        self._keys.pop(process_id, None)

    def _parsed(self, process_id: str) -> tuple[str, str, list[Question]]:
        files = ModelFiles(self._sources, (self._look or NOTHING).contents)
        parsed = self._parse(process_id, files)
        if not isinstance(parsed, tuple) or len(parsed) != 2 or not isinstance(parsed[1], Mapping):
            raise TypeError(
                f"parse({process_id!r}) must return a spec and a dict of subprocess specs, not "
                f"{type(parsed).__name__}"
            )
        if not any(kind == "read" for kind, _ in files.asked):
            raise ElementUnitsError(
                f"parse({process_id!r}) has read no file with files.read or files.open, so a "
                "change of the model could not be noticed"
            )
        text = spec_json(self._loaders.serializer, *parsed)
        key = key_of(process_id, self._versions, files.asked.items())
        return key, text, list(files.asked)

    # What outlives the process

    def _noted(self) -> tuple[dict[str, FileFacts], dict[str, list[Question]]]:
        return _decoded(read_note(self._loaders.cache, self._note))

    def _remember(self, process_id: str) -> None:
        """Note a model that was parsed. What is noted of other models may be newer than ours."""
        seen = self._look or NOTHING
        asked = {process_id: self._questions[process_id]}
        note = {
            "format": _FORMAT,
            "files": {name: list(facts) for name, facts in seen.files.items()},
            "models": {**self._questions, **self._noted()[1], **asked},
        }
        # Not orjson, which refuses the name of a file that is not UTF-8.
        write_note(self._loaders.cache, self._note, json.dumps(note).encode())

    def _remembered(self) -> Look:
        files, questions = self._noted()
        for process_id, asked in questions.items():
            self._questions.setdefault(process_id, asked)
        marks = {name: facts.mark for name, facts in files.items()}
        settled = bool(files) and all(facts.settled for facts in files.values())
        return Look(files, Contents(files), marks, settled)


def _decoded(note: Optional[bytes]) -> tuple[dict[str, FileFacts], dict[str, list[Question]]]:
    """What a note says of files, and which questions the parse of each model has asked."""
    try:
        told = json.loads(note or b"null")
        if told["format"] != _FORMAT:
            return {}, {}
        files = {
            name: FileFacts(tuple(mark), settled, digest, defines)
            for name, (mark, settled, digest, defines) in told["files"].items()
        }
        models = {
            name: [(kind, about) for kind, about in questions]
            for name, questions in told["models"].items()
        }
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}, {}
    return files, models


def spec_json(serializer: Serializer, spec: Spec, others: Mapping[str, Optional[Spec]]) -> str:
    """The JSON text of a model that was parsed. Raises InvalidWorkflowSpec."""
    try:
        workflow = {
            "spec": serializer.to_dict(spec),
            "subprocess_specs": {
                name: None if one is None else serializer.to_dict(one)
                for name, one in others.items()
            },
            serializer.VERSION_KEY: serializer.VERSION,
        }
        return json.dumps(workflow, cls=getattr(serializer, "json_encoder_cls", None))
    except (TypeError, ValueError) as error:
        name = getattr(spec, "name", None)
        raise InvalidWorkflowSpec(
            f"the model of process {name!r} cannot be serialized ({error}); register a converter "
            "for each of your classes"
        ) from error
