"""BPMN and DMN files as XML, and the ids in them.

A file is untrusted XML. It is parsed without entities, external files or network access. A file
with a document type is refused, because entities are declared there and BPMN does not need one.
"""

from __future__ import annotations

from typing import Any, Optional

from ._app import Failure
from ._output import one_line

try:
    from lxml import etree
except ImportError as error:
    raise Failure(
        f"BPMN files need SpiffWorkflow ({error}): pip install 'SpiffWorkflow>=3.0,<4'"
    ) from error

BPMN = {"bpmn": "http://www.omg.org/spec/BPMN/20100524/MODEL"}


class Document:
    """A BPMN or DMN file, read once. It may be in several models.

    `name` is what specs call it. `reason` says why it cannot be used; it is empty if it can.
    """

    def __init__(self, path: str, name: str) -> None:
        self.path = path
        self.name = name
        self.reason = ""
        self.process_ids: tuple[str, ...] = ()
        self.decision_ids: tuple[str, ...] = ()
        self._text: Optional[bytes] = None
        self._root: Any = None
        try:
            with open(path, "rb") as stream:
                self._text = stream.read()
            _require_utf_8(name)
            self._root = _xml(self._text)
        except OSError as error:
            self.reason = error.strerror or str(error)
        except Failure as error:
            self.reason = str(error)
        else:
            if self.is_dmn:
                self.decision_ids = self._ids("//*[local-name()='decision']/@id")
            else:
                self.process_ids = self._ids("//bpmn:process/@id")

    @property
    def is_dmn(self) -> bool:
        return self.path.lower().endswith(".dmn")

    def xml(self) -> Any:
        """The root element. Raises Failure if the file is not XML."""
        if self._root is None:
            raise Failure(self.reason)
        return self._root

    def text(self) -> str:
        """The XML, in any encoding that the file may have. Raises Failure if it is not XML."""
        return str(etree.tostring(self.xml(), encoding="unicode"))

    def mentions(self, id: str) -> bool:
        """Whether an id may be in the file; it may be in a file that cannot be opened."""
        if self._text is None:
            return True
        encodings = ("utf-8", "utf-16-le", "utf-16-be")
        return any(id.encode(one, "surrogatepass") in self._text for one in encodings)

    def _ids(self, path: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(map(str, self._root.xpath(path, namespaces=BPMN))))


def _require_utf_8(name: str) -> None:
    """Raise Failure if the name of a file cannot be in the JSON of a spec."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise Failure("its name is not UTF-8, and specs contain the name; rename it") from error


def _xml(text: bytes) -> Any:
    """The root element of a text. Raises Failure."""
    reader = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=False,
    )
    try:
        root = etree.fromstring(text, reader)
    except (etree.XMLSyntaxError, ValueError) as error:
        said = getattr(error, "msg", None) or str(error)  # without the name of the file
        raise Failure(f"it is not XML: {one_line(said)}") from error
    about = root.getroottree().docinfo
    if about.internalDTD is not None or about.externalDTD is not None:
        raise Failure(
            "it has a document type (<!DOCTYPE>), which can declare entities and is therefore "
            "refused; BPMN and DMN do not need one, so remove it"
        )
    return root
