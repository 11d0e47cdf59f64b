from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tcs_hpt.catalog.rendering import paths, render
from tcs_hpt.spec import ConfigFormat, Scalar

FORMATS: tuple[ConfigFormat, ...] = ("json", "yaml", "toml")


def read(text: str, format: ConfigFormat) -> Any:
    if format == "json":
        return json.loads(text)
    return yaml.safe_load(text) if format == "yaml" else tomllib.loads(text)


scalars = st.one_of(
    st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8).filter(lambda text: text.replace("\n", "").isprintable())
)  # fmt: skip
keys = st.from_regex("[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True)


@pytest.mark.parametrize("format", FORMATS)
@given(values=st.dictionaries(keys, scalars, max_size=5))
def test_what_is_written_is_read_back_with_its_types(format: ConfigFormat, values: dict[str, Scalar]) -> None:
    found = read(render("", format, values), format)
    assert found == values
    assert [type(v) for v in found.values()] == [type(v) for v in values.values()]


@pytest.mark.parametrize("value", [1e-05, 3e-7, 1e20, 1.5e-10, 5.0, 0.1])
def test_every_reader_of_yaml_reads_a_number(value: float) -> None:
    text = render("", "yaml", {"x": value})
    assert yaml.safe_load(text) == {"x": value}  # YAML 1.1 wants a point and a sign
    assert float(text.removeprefix("x: ")) == value
    assert "'" not in text


TEMPLATE = """\
# a comment
base: &base {lr: 1e-3, on: yes}
optimizer: *base
model:
  <<: *base
  depth: 010
time: 12:30
include: !include other.yml
stages:
  - name: warm up
    epochs: 3
text: |
  several
  lines
flat.key: 7
empty:
"""


def test_yaml_keeps_what_is_not_changed_as_it_is_spelled() -> None:
    values: dict[str, Scalar] = {
        "optimizer.lr": 1e-05,
        "stages.0.epochs": 5,
        "flat.key": False,
        "empty.deep.er": "on",
        "new": "1e-3",
    }
    text = render(TEMPLATE, "yaml", values)
    lines = text.splitlines()
    assert "optimizer: {lr: 1.0e-05, on: yes}" in lines
    assert "lr: 1e-3, on: yes" in lines[0]  # what it was an alias of has not changed
    for same in (
        "  depth: 010",
        "time: 12:30",
        "  several",
        "  epochs: 5",
        "flat.key: false",
        "- name: warm up",
    ):
        assert same in lines
    assert "!include" in text
    assert "'on'" in text
    assert "new: '1e-3'" in lines  # text in YAML 1.1 and 1.2
    again = yaml.safe_load(text.replace("!include ", ""))
    assert again["model"] == {"lr": "1e-3", True: True, "depth": 8}
    assert again["empty"] == {"deep": {"er": "on"}}


TOML_TEMPLATE = r"""
f = "\"quoted\" \\ \n\u007f'"
[a]
b = [1, {c = 2.5}]
d = true
[a.e]
["g h"]
"i.j" = 1
"""


@pytest.mark.parametrize("format", FORMATS)
def test_the_other_values_of_a_template_stay(format: ConfigFormat) -> None:
    tree = {"a": {"b": [1, {"c": 2.5}], "d": True, "e": {}}, "f": '"quoted" \\ \n\x7f\'', "g h": {"i.j": 1}}
    template = {
        "json": json.dumps(tree),
        "yaml": yaml.safe_dump(tree),
        "toml": TOML_TEMPLATE,
    }[format]
    found = read(render(template, format, {"a.b.1.c": 1e-05, "a.e.k": 3, "g h.i.j": 2, "l": "x"}), format)
    assert found == {
        "a": {"b": [1, {"c": 1e-05}], "d": True, "e": {"k": 3}},
        "f": tree["f"],
        "g h": {"i.j": 2},
        "l": "x",
    }


def test_toml_keeps_dates() -> None:
    text = "a = 2020-01-01\nb = 2020-01-01T10:00:00Z\nc = 07:32:00\nd = [[inf, -1e3], []]\n"
    assert tomllib.loads(render(text, "toml", {})) == tomllib.loads(text)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a", "`a` is a table, not a single value"),
        ("a.b", "`a.b` is a list of 2"),
        ("a.b.2", "`a.b` is a list of 2, so `a.b.2` has no place in it"),
        ("a.b.x", "so `a.b.x` has no place in it"),
        ("c.d", "`c` is a single value, so `c.d` has no place in it"),
    ],
)
def test_a_place_that_is_none(format: ConfigFormat, path: str, message: str) -> None:
    template = "c = 1\n[a]\nb = [1, 2]\n" if format == "toml" else '{"a": {"b": [1, 2]}, "c": 1}'
    with pytest.raises(ValueError, match=message):
        render(template, format, {path: 1})


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("json", "{"), ("json", "[1]"), ("json", "[" * 100_000), ("toml", "a ="), ("yaml", "a: ["), ("yaml", "- 1"),
        ("yaml", "a: 1\n---\nb: 2"), ("yaml", "a: *nowhere"),
    ],
)  # fmt: skip
def test_a_template_that_is_not_of_its_format(format: ConfigFormat, text: str) -> None:
    for use in (lambda: render(text, format, {}), lambda: paths(text, format)):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - each library has its own words
            use()
        assert str(caught.value)


@pytest.mark.parametrize("format", FORMATS)
def test_the_paths_of_a_template(format: ConfigFormat) -> None:
    template = "c = 1\n[a]\nb = [1, 2]\n" if format == "toml" else '{"c": 1, "a": {"b": [1, 2]}}'
    assert paths(template, format) == ["c", "a.b.0", "a.b.1"]


def test_an_alias_of_what_it_is_in_does_not_go_round_for_ever() -> None:
    assert paths("a: &a\n  b: 1\n  c: *a\n", "yaml") == ["a.b"]
