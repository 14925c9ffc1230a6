"""Strict JSON: what passes reads the same in every reader, what does not is refused by name."""

import json
import math

import duckdb
import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.strict_json import DEEPEST, NotStrict, check, form

REFUSED = {
    b'{"a": 1, "a": 2}': "duplicate_key",
    b'{"a": 1, "\\u0061": 2}': "duplicate_key",
    b'{"x": [{"b": 1, "b": 1}]}': "duplicate_key",
    b'{"a": NaN}': "not_finite",
    b'{"a": -Infinity}': "not_finite",
    b'{"a": 1e999}': "not_finite",
    b'{"a": 18446744073709551616}': "long_integer",
    b'{"a": -9223372036854775809}': "long_integer",
    b"1" * 5000: "long_integer",
    b'"\\ud800"': "lone_surrogate",
    b'"\\ud83d\\u0041"': "lone_surrogate",
    b'"\\udc00\\ud800"': "lone_surrogate",
    b"\xff": "not_utf8",
    b'{"a": "\xed\xa0\x80"}': "not_utf8",
    b"\xef\xbb\xbf{}": "byte_order_mark",
    '{"a": 1}'.encode("utf-16"): "not_utf8",
    '{"a": 1}'.encode("utf-16-le"): "not_json",
    b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1): "too_deep",
    b'{"a":' * DEEPEST + b"{}" + b"}" * DEEPEST: "too_deep",
    b"[" * 100_000: "too_deep",
    b"{} {}": "trailing_data",
    b"{}\0": "trailing_data",
    b"{}\x0b": "trailing_data",
    b"\x0c{}": "not_json",
    b"": "not_json",
    b" ": "not_json",
    b"{'a': 1}": "not_json",
    b'{"a": 1,}': "not_json",
    b'"a\x01b"': "not_json",
    b'{"a": 0x10}': "not_json",
    b"[1 2]": "not_json",
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.items(), ids=lambda value: repr(value)[:40])
def test_refusal_has_a_name(text: bytes, reason: str) -> None:
    """What readers could read differently is refused with a stable word."""
    with pytest.raises(NotStrict) as refused:
        check(text)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 18446744073709551615, "b": -9223372036854775808}',
        b' \r\n\t{"a": "\\ud83d\\ude00 \xf0\x9f\x98\x80"} \n',
        b"[" * DEEPEST + b"]" * DEEPEST,
        b'{"a": {"b": 1}, "b": {"a": 1}}',
        b"-0.0",
        b"null",
    ],
)
def test_strict_text_is_read(text: bytes) -> None:
    """Strict JSON gives the value that the standard library gives."""
    assert check(text) == json.loads(text)


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


@given(_values, st.booleans())
def test_everything_that_json_can_say_passes(value: object, ascii_only: bool) -> None:
    """No document that a JSON writer makes is refused."""
    assert check(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=60) | st.text(max_size=30).map(str.encode))
def test_nothing_but_its_own_error(text: bytes) -> None:
    """Any bytes at all give a value or ``NotStrict``, and orjson agrees with every value."""
    try:
        value = check(text)
    except NotStrict:
        return
    assert orjson.loads(text) == value


@pytest.mark.parametrize("text", [text for text in REFUSED if 0 < len(text) < 100])
def test_readers_do_disagree(text: bytes) -> None:
    """Each refused document is one that some reader refuses, or that two read differently."""
    readings = {_reading(reader, text) for reader in (_python, _orjson, _duckdb, _polars)}
    assert len(readings) > 1 or readings == {"refused"}


def _reading(reader: object, text: bytes) -> str:
    try:
        return repr(reader(text))  # type: ignore[operator]
    except Exception:
        return "refused"


def _python(text: bytes) -> object:
    value = json.loads(text)
    return "inf" if isinstance(value, float) and math.isinf(value) else value


def _orjson(text: bytes) -> object:
    return orjson.loads(text)


def _duckdb(text: bytes) -> object:
    row = duckdb.connect().execute("select json(?::varchar)::varchar", [text.decode()]).fetchone()
    return json.loads(row[0]) if row else None


def _polars(text: bytes) -> object:
    return pl.Series([text.decode()]).str.json_decode(pl.Struct({"a": pl.Int64}))[0]


def test_form_counts_events() -> None:
    """An object is one event, an array of objects as many as it has, anything else none."""
    assert form(b'{"kind": "open"}') == form(b" {} ")
    assert (form(b"{}").key, form(b"{}").events) == ("event", 1)
    assert (form(b"[{}, {}]").key, form(b"[{}, {}]").events) == ("events", 2)
    assert (form(b"[]").key, form(b"[]").events, form(b"[]").reason) == ("events", 0, None)
    for body, reason in ((b"", "empty"), (b"[1]", "not_an_object"), (b"no", "not_json")):
        assert (form(body).key, form(body).events, form(body).reason) == ("body", 0, reason)


def test_several_lines_count_but_stand_as_text() -> None:
    """A body over several lines counts its events, yet cannot stand verbatim in one line."""
    found = form(b'{\n "kind": "open"\n}')
    assert (found.key, found.events, found.reason) == ("body", 1, None)
