"""The slicer: the places of process specs, the text without whitespace, and what is JSON.

The slicer reads JSON by itself. It must agree with the parser, orjson, on every text, and with
`json` on what a text says.
"""

from __future__ import annotations

import json

import naive
import orjson
import pytest
import strategies
from hypothesis import given

from spiff_element_units import ElementUnits, InvalidWorkflowSpec
from spiff_element_units.core.text import Text

SMALL = (
    '{"spec": {"name": "A", "typename": "P", "task_specs": {"T": {"typename": "CallActivity", '
    '"spec": "B"}}}, "subprocess_specs": {"B": {"name": "\\u00df\\"é", "typename": "P", '
    '"task_specs": {}}, "C": null}, "n": [1, -2.5e3, true, "}"], "serializer_version": "1.5"} '
)


def with_value(value: str) -> str:
    """A good workflow with a value in a place that the library ignores."""
    return with_spec_field(f'"x": {value}, ')


def with_spec_field(field: str) -> str:
    return f'{{"spec": {{{field}"name": "A", "typename": "P", "task_specs": {{}}}}, {NO_SPECS}}}'


NO_SPECS = '"subprocess_specs": {}'
SPEC = '"spec": {"name": "A", "typename": "P", "task_specs": {}}'


def accepts(text: str | bytes) -> bool:
    try:
        ElementUnits.from_json(text)
    except InvalidWorkflowSpec:
        return False
    return True


def is_json(text: str | bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


# What is sliced


@given(strategies.texts())
def test_a_spec_is_the_text_of_its_value_without_whitespace(text: str) -> None:
    workflow = naive.exact(text)
    for source in (text, text.encode()):
        units = ElementUnits.from_json(source)
        specs = {units.root: workflow.last("spec")}
        specs = {**dict(workflow.last("subprocess_specs")), **specs}
        for process_id in units.process_ids:
            spec = units.spec_json(process_id).decode()
            assert naive.exact(spec) == specs[process_id]
            assert spec in naive.without_whitespace(text)


@given(strategies.texts())
def test_what_is_beside_the_specs_is_the_text_of_its_value(text: str) -> None:
    unit = naive.exact(ElementUnits.from_json(text).workflow(naive.load(text)["spec"]["name"]))
    workflow = naive.exact(text)
    own = ("spec", "subprocess_specs", "serializer_version", "source_serializer_version")
    others = dict.fromkeys(key for key, _ in workflow if key not in own)
    assert [key for key, _ in unit if key not in own] == list(others)
    assert all(unit.last(key) == workflow.last(key) for key in others)


def test_a_text_is_not_copied_to_be_read() -> None:
    for text in ("ascii", b"bytes \xff", "größe"):
        encoded = text if isinstance(text, bytes) else text.encode()
        assert bytes(memoryview(Text(text))) == encoded
    with pytest.raises(TypeError):
        memoryview(Text("immutable"))[0] = 1


def test_whitespace_in_strings_stays() -> None:
    units = ElementUnits.from_json(with_spec_field(' "a b \\" c\\\\" : " {  } " , '))
    assert b'"a b \\" c\\\\":" {  } ",' in units.spec_json("A")


def test_keys_may_be_written_with_escapes() -> None:
    text = SMALL.replace('"spec"', '"\\u0073p\\u0065c"', 1)
    text = text.replace('"subprocess_specs"', '"subprocess\\u005Fspecs"')
    text = text.replace('"serializer_version"', '"serializer\\u005fversion"')
    units = ElementUnits.from_json(text)
    assert units.process_ids == ("A", "B")
    assert json.loads(units.workflow("A"))["source_serializer_version"] == "1.5"


def test_the_last_of_two_members_with_one_key_wins() -> None:
    text = (
        '{"spec": 7, "subprocess_specs": {"B": 1, "C": null}, "x": 1, '
        f'{SPEC}, "x": 2, "subprocess_specs": {{"B": [], "C": null, "B": null}}}}'
    )
    units = ElementUnits.from_json(text)
    assert units.process_ids == ("A",)
    assert units.subprocess_ids == ("B", "C")
    assert json.loads(units.workflow("A"))["x"] == 2
    assert units.workflow("A").count('"x"') == 1


@pytest.mark.parametrize(
    "text",
    [
        f'{{"spec": tru, {SPEC}, {NO_SPECS}}}',
        f'{{"subprocess_specs": {{"A": tru}}, {SPEC}, {NO_SPECS}}}',
        f'{{"subprocess_specs": [1 2], {SPEC}, {NO_SPECS}}}',
        f'{{{SPEC}, "subprocess_specs": {{"B": nul, "B": null}}}}',
        f'{{{SPEC}, {NO_SPECS}, "x": [}}], "x": 1}}',
    ],
)
def test_a_value_that_another_replaces_must_be_json_too(text: str) -> None:
    with pytest.raises(InvalidWorkflowSpec, match="is not JSON"):
        ElementUnits.from_json(text)


# What is refused


def test_the_small_workflow_is_good() -> None:
    assert ElementUnits.from_json(SMALL).process_ids == ("A", "B")


@pytest.mark.parametrize("end", range(len(SMALL.encode().rstrip())))
def test_a_truncated_text_is_refused(end: int) -> None:
    with pytest.raises(InvalidWorkflowSpec) as refused:
        ElementUnits.from_json(SMALL.encode()[:end])
    assert isinstance(refused.value.__cause__, orjson.JSONDecodeError)


def test_every_single_byte_may_be_wrong() -> None:
    small = SMALL.encode()
    for place in range(len(small)):
        for byte in b'{}[]",:\\ 0-e\x00\x80\xff':
            text = small[:place] + bytes([byte]) + small[place + 1 :]
            if not is_json(text):
                assert not accepts(text), text
            elif naive.is_workflow(orjson.loads(text)):
                assert accepts(text), text
            else:
                assert not accepts(text), text


@pytest.mark.parametrize(
    "value",
    [
        *("", "1 2", "[1 2]", "tr ue", "1.", ".5", "01", "+1", "- 1", "1e", "0x1", "NaN", "nul"),
        *("[1,]", "[,1]", '{"a":1,}', '{"a" 1}', "{1:2}", "{,}", "[}", "{]", "[[]", "[]]", "{}}"),
        *('"a"b"', '"a" "b"', '"\\x"', '"\\u12"', '"\\u12g4"', '"a\nb"', '"\t"', '"\0"', "'a'"),
        *('1"a"', '"a"1', "[1]2", '"', '"\\', '"\\"', "\\", "Infinity", "-Infinity", "1e400"),
        *("//\n1", "/* */1", "1\x0b", "\x0c1", "\u00a01", "\ufeff1", '"\\ud800"', '"\\udc00a"'),
        *('{"\\ud83d": 1}', '"\\ud83d\\ud83d"'),
    ],
)
def test_what_is_not_json_is_refused_in_every_place(value: str) -> None:
    assert not is_json(f"[{value}]") or not value
    texts = [
        with_value(value),
        f'{{{SPEC}, {NO_SPECS}, "x": {value}}}',
        f'{{"x": {value}, {SPEC}, {NO_SPECS}}}',
        f'{{{SPEC}, "subprocess_specs": {{"B": {value}}}}}',
        f'{{{SPEC}, "subprocess_specs": {value}}}',
        f'{{"spec": {value}, {NO_SPECS}}}',
    ]
    for text in texts:
        with pytest.raises(InvalidWorkflowSpec):
            ElementUnits.from_json(text)


@pytest.mark.parametrize(
    "value",
    [
        *("12345678901234567890123", "1e2", "-0", "-0.0", "1E+2", "0.10", "1e-400"),
        *('"\\u0000"', '"\x7f"', '"\\/"', '"\\ud83e\\udd8a"', '"🦊"', '"\u2028"', "[]", "{}"),
        *('{"": {"": []}}', '{"a": 1, "a": 2}', "[ ]", "{ }", "[[[]], {}]", '"\\\\"', '"\\\\\\""'),
    ],
)
def test_what_is_json_is_kept_as_it_is_written(value: str) -> None:
    assert is_json(value)
    spec = ElementUnits.from_json(with_value(value)).spec_json("A").decode()
    assert spec.startswith(f'{{"x":{naive.without_whitespace(value)},"name"')
    unit = ElementUnits.from_json(f'{{{SPEC}, {NO_SPECS}, "x" : {value} }}').workflow("A")
    assert unit.endswith(f'"x":{naive.without_whitespace(value)}}}')


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "null", "1", '"spec"', "[]", "[{}]", "{}", "{", "}", "\ufeff{}", "{},", "{} {}"),
        *(f"{{{SPEC}, {NO_SPECS}}}}}", f"{{{SPEC}, {NO_SPECS}}} x", f"{{{SPEC}, {NO_SPECS},}}"),
        *(f"{{{SPEC} {NO_SPECS}}}", f"{{,{SPEC}, {NO_SPECS}}}", f"{{{SPEC},, {NO_SPECS}}}"),
        *(f"{{{SPEC}, {NO_SPECS}", f"[{{{SPEC}, {NO_SPECS}}}]", f"\ufeff{{{SPEC}, {NO_SPECS}}}"),
        *(f'{{{SPEC}, {NO_SPECS}, "x"}}', f'{{{SPEC}, {NO_SPECS}, "x":}}'),
        *(f"{{{SPEC}, {NO_SPECS}, x: 1}}", f'{{{SPEC}, {NO_SPECS}, "\\x": 1}}'),
        *(f'{{{SPEC}, {NO_SPECS}, "\\ud800": 1}}', f'{{{SPEC}, {NO_SPECS}, "a\nb": 1}}'),
        *(f"{{{SPEC}, {NO_SPECS}, 1: 1}}", f'{{{SPEC}: 1, {NO_SPECS}, "\\'),
        *('{"spec', '{"spec"', '{"spec":', '{"spec":"', '{"subprocess_specs":{', '{"a":1,"\\'),
    ],
)
def test_an_outer_object_that_is_not_one_is_refused(text: str) -> None:
    with pytest.raises(InvalidWorkflowSpec):
        ElementUnits.from_json(text)


@pytest.mark.parametrize(
    "wrong", [b"\x80", b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"]
)
def test_a_text_that_is_not_utf8_is_refused(wrong: bytes) -> None:
    for place in (
        b'{"%s": 1, ' + SPEC.encode() + b"," + NO_SPECS.encode() + b"}",
        with_value('"%s"').encode(),
        with_spec_field('"%s": 1,').encode(),
        f'{{{SPEC}, "subprocess_specs": {{"%s": null}}}}'.encode(),
        f'{{{SPEC}, {NO_SPECS}, "x": "%s"}}'.encode(),
        f"{{{SPEC}, {NO_SPECS}}}%s".encode(),
        f"{{{SPEC}, %s {NO_SPECS}}}".encode(),
    ):
        with pytest.raises(InvalidWorkflowSpec, match="not JSON"):
            ElementUnits.from_json(place.replace(b"%s", wrong))


def test_a_lone_surrogate_in_a_str_is_refused() -> None:
    with pytest.raises(InvalidWorkflowSpec, match="lone surrogate at character 16") as refused:
        ElementUnits.from_json('{"spec": {"x": "\ud800"}}')
    assert isinstance(refused.value.__cause__, UnicodeEncodeError)


def test_the_message_tells_where_the_text_is_wrong() -> None:
    text = f'{{{SPEC},\n "subprocess_specs": {{"B": {{"name": nul}}}}}}'
    with pytest.raises(InvalidWorkflowSpec, match=r'subprocess_specs\["B"\].* line 2') as refused:
        ElementUnits.from_json(text)
    with pytest.raises(orjson.JSONDecodeError) as whole:
        orjson.loads(text)
    assert str(whole.value) in str(refused.value)


# Nesting


def nested(levels: int, opening: str, closing: str) -> str:
    """A value of so many levels of arrays or objects, the innermost an array."""
    return opening * (levels - 1) + "[]" + closing * (levels - 1)


PLACES = {
    "spec": (with_value, 2),
    "subprocess spec": (
        lambda value: (
            f'{{{SPEC}, "subprocess_specs": {{"B": {{"name": "B", "typename": "P", '
            f'"task_specs": {{}}, "x": {value}}}}}}}'
        ),
        3,
    ),
    "other": (lambda value: f'{{{SPEC}, {NO_SPECS}, "x": {value}}}', 1),
    "replaced": (lambda value: f'{{"spec": {value}, {SPEC}, {NO_SPECS}}}', 1),
    "replaced subprocess spec": (
        lambda value: f'{{"subprocess_specs": {{"B": {value}}}, {SPEC}, {NO_SPECS}}}',
        2,
    ),
}
LIMIT = 1024


@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}"), ('[{"a": ', "} ]")])
@pytest.mark.parametrize("place", PLACES)
def test_nesting_is_accepted_up_to_the_parsers_limit(place: str, brackets: tuple[str, str]) -> None:
    whole, outer = PLACES[place]
    levels = LIMIT - outer
    if brackets[0].startswith("[{"):
        levels = (levels + 1) // 2
    for deeper in range(-2, 3):
        text = whole(nested(levels + deeper, *brackets))
        assert accepts(text) == is_json(text), deeper
    assert accepts(whole(nested(levels - 1, *brackets)))
    assert not accepts(whole(nested(levels + 2, *brackets)))


def test_exactly_1024_levels_are_accepted() -> None:
    whole, outer = PLACES["other"]
    assert accepts(whole(nested(LIMIT - outer, "[", "]")))
    with pytest.raises(InvalidWorkflowSpec) as refused:
        ElementUnits.from_json(whole(nested(LIMIT - outer + 1, "[", "]")))
    assert isinstance(refused.value.__cause__, orjson.JSONDecodeError)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("closed", [True, False])
def test_a_million_levels_are_refused(place: str, brackets: tuple[str, str], closed: bool) -> None:
    whole, _ = PLACES[place]
    text = whole(nested(1_000_000, brackets[0], brackets[1] if closed else ""))
    with pytest.raises(InvalidWorkflowSpec):
        ElementUnits.from_json(text)


def test_many_closing_brackets_are_refused() -> None:
    for place in PLACES.values():
        with pytest.raises(InvalidWorkflowSpec):
            ElementUnits.from_json(place[0]("]" * 100_000))
