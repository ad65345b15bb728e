"""Replays the inputs that fuzzers have found.

They once crashed, or reach code that no other input reaches. `make fuzz` looks for more.
"""

from __future__ import annotations

import pytest
from fuzz import fuzz_pack, fuzz_state, fuzz_text
from fuzz.seeds import kept, pack_of, seeds, text_of

from spiff_element_units import ElementUnits

INPUTS = {name: {**seeds(name), **kept(name)} for name in ("text", "pack", "state")}


@pytest.mark.parametrize("name", INPUTS["text"])
def test_a_text_is_read_as_the_parser_and_the_rules_say(name: str) -> None:
    fuzz_text.one_input(INPUTS["text"][name])


@pytest.mark.parametrize("name", INPUTS["pack"])
def test_a_pack_of_any_bytes_does_no_harm(name: str) -> None:
    fuzz_pack.one_input(INPUTS["pack"][name])


@pytest.mark.parametrize("name", INPUTS["state"])
def test_a_state_is_cut_as_json_and_the_rules_say(name: str) -> None:
    fuzz_state.one_input(INPUTS["state"][name])


def test_the_kept_inputs_lead_somewhere() -> None:
    """If most packs have an older format, they are refused at once.

    Then run `make fuzz KEEP=--keep`, which makes new ones.
    """
    for fuzzer, name in (
        (fuzz_text, "text"),
        (fuzz_pack, "pack"),
        (fuzz_state, "state"),
    ):
        assert all(map(fuzzer.one_input, seeds(name).values()))
        assert sum(map(fuzzer.one_input, kept(name).values())) > 15


def test_what_the_fuzzers_demand_is_more_than_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """They notice a unit that lacks a process, an answer that contains too much, and a state in
    which something else is settled.
    """
    text = seeds("text")["calls"]
    monkeypatch.setattr(fuzz_text.naive, "process_ids", lambda workflow: ("A",))
    with pytest.raises(AssertionError):
        fuzz_text.one_input(text)
    monkeypatch.setattr(ElementUnits, "workflow", lambda *_, **__: "x" * 100_000)
    with pytest.raises(AssertionError):
        fuzz_pack.one_input(pack_of(text))
    monkeypatch.setattr(fuzz_state.naive_state, "FINISHED", (64,))
    with pytest.raises(AssertionError):
        fuzz_state.one_input(seeds("state")["settled"])


def test_checksums_are_put_right() -> None:
    """A pack with a changed byte is opened, and so is one that is longer than it says."""
    for value in (text_of({}), text_of({"x": 1})):
        workflow = seeds("text")["deep"][:-1] + b',"y":' + value + b"}"
        good = pack_of(workflow)
        assert fuzz_pack.forged(good) == good
        spoilt = bytearray(good)
        spoilt[-20] ^= 1
        assert fuzz_pack.forged(bytes(spoilt)) != bytes(spoilt)
        assert fuzz_pack.one_input(bytes(spoilt) + bytes(100))
