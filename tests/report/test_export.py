from __future__ import annotations

import csv
import io
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tcs_hpt.errors import UserError
from tcs_hpt.records import Trial
from tcs_hpt.report.export import (
    best_config,
    columns,
    config_flags,
    config_json,
    config_yaml,
    rows,
    to_csv,
    to_json,
    write_parquet,
)
from tcs_hpt.spec import Config, StudySpec, TaskSpec, coerce
from tcs_hpt.testing.samples import (
    CONFIG,
    MANIFEST,
    as_text,
    failed_trial,
    interrupted_trial,
    rich_trial,
    simple_trial,
    study_spec,
)

STUDY = study_spec()
TRIALS = [
    simple_trial(4, 0.25),
    rich_trial(1),
    failed_trial(2),
    interrupted_trial(3),
    rich_trial(5, retry_of=3, value=0.125),
]
PARAMS = [f"params_{name}" for name in MANIFEST["params"]]


def test_one_row_per_trial_by_number() -> None:
    table = rows(STUDY, TRIALS)
    assert [row["number"] for row in table] == [1, 2, 3, 4, 5]
    first, failed, interrupted, simple, retry = table
    assert list(first)[:3] == ["number", "state", "value"]
    assert list(first)[3 : 3 + len(PARAMS)] == PARAMS
    assert list(first)[3 + len(PARAMS)] == "metrics_val_accuracy"
    assert all(list(row) == list(first) for row in table)
    assert {k: v for k, v in first.items() if not k.startswith("params_")} == {
        "number": 1,
        "state": "finished",
        "value": 0.1 + 0.2,
        "metrics_val_accuracy": 0.1 + 0.2,
        "metrics_broken": None,
        "metrics_test_accuracy": 5e-324,
        "source": "agents",
        "change": "lr: 0.01 -> 0.003",
        "base_trial": 1,
        "failure_kind": None,
        "failure_message": None,
        "stopped_early": None,
        "violations": None,
        "wall_seconds": 12.5,
        "cpu_seconds": 11.0,
        "peak_memory_mb": 512.0,
        "model_calls": 2,
        "prompt_tokens": 14,
        "completion_tokens": 6,
        "thinking_seconds": 1.5,
        "thinking_cpu_seconds": 2.75,
        "thinking_gpu_seconds": 0.5,
        "thinking_gpu_joules": 31.25,
        "model_memory_mb": 187.25,
        "started_at": "2026-01-02T03:04:05+00:00",
        "seed": 3,
        "retry_of": None,
        "replicate_of": 1,
        "promoted_from": None,
        "fidelity": None,
        "gpu_joules": None,
        "gpu_memory_mb": 0.0,
        "gpu_seconds": 0.0,
    }
    assert (first["params_momentum"], first["params_mixed"], type(first["params_mixed"])) == (0.9, 1, int)
    assert simple["params_momentum"] is None
    assert (failed["failure_kind"], failed["failure_message"]) == ("crashed", "exit code 1")
    assert interrupted["state"] == "interrupted"
    assert (retry["model_calls"], retry["prompt_tokens"], retry["thinking_seconds"]) == (0, 0, 0.0)


def test_names_that_could_hide_a_column_do_not() -> None:
    task = {**MANIFEST, "params": {"value": MANIFEST["params"]["lr"], "seed": MANIFEST["params"]["layers"]}}
    study = StudySpec(name="s", task=TaskSpec.model_validate(task))
    (row,) = rows(study, [simple_trial(1, 0.5, config={"value": 0.01, "seed": 4}, seed=7)])
    assert (row["value"], row["params_value"], row["seed"], row["params_seed"]) == (0.5, 0.01, 7, 4)


def test_csv_reads_back() -> None:
    read = list(csv.DictReader(io.StringIO(to_csv(STUDY, TRIALS))))
    table = rows(STUDY, TRIALS)
    assert [list(row) for row in read] == [list(row) for row in table]
    for got, row in zip(read, table, strict=True):
        for name, cell in row.items():
            text = got[name]
            if cell is None:
                assert text == ""
            elif isinstance(cell, bool):
                assert text == ("true" if cell else "false")
            elif isinstance(cell, float):
                assert float(text) == cell
            else:
                assert text == str(cell)


def test_text_of_any_kind_survives_csv() -> None:
    message = 'half, "quoted"\nsecond line\r and ß 📉'
    odd = failed_trial(1)
    assert odd.failure is not None
    odd = odd.model_copy(update={"failure": odd.failure.model_copy(update={"message": message})})
    (read,) = csv.DictReader(io.StringIO(to_csv(STUDY, [odd]), newline=""))
    assert read["failure_message"] == message
    broken = odd.failure.model_copy(update={"message": "\ud800"}) if odd.failure else None
    to_csv(STUDY, [odd.model_copy(update={"failure": broken})]).encode("utf-8")


def test_a_study_without_trials_still_has_columns(tmp_path: Path) -> None:
    header = to_csv(STUDY, []).splitlines()
    assert header == [",".join(columns(STUDY, []))]
    assert columns(STUDY, []) == columns(STUDY, rows(STUDY, [simple_trial(1, 0.5)]))
    write_parquet(tmp_path / "x.parquet", STUDY, [])
    assert pq.read_table(tmp_path / "x.parquet").column_names == columns(STUDY, [])
    assert json.loads(to_json(STUDY, []))["trials"] == []


def test_json_holds_complete_records() -> None:
    content = json.loads(to_json(STUDY, TRIALS), parse_constant=pytest.fail)
    assert content["format"] == 1
    assert as_text(StudySpec.model_validate(content["study"])) == as_text(STUDY)
    read = [Trial.model_validate(t) for t in content["trials"]]
    assert read[1:4] == sorted(TRIALS, key=lambda t: t.number)[1:4]
    proposal = read[0].proposal
    assert proposal.rejected[0].config == {"lr": None, "x": [1, 1.0, {"y": None}]}  # it was infinite
    rejected = rich_trial(1).proposal.rejected
    assert read[0].model_copy(
        update={"proposal": proposal.model_copy(update={"rejected": rejected})}
    ) == rich_trial(1)
    assert to_json(STUDY, TRIALS).isascii()


def test_parquet_keeps_the_types(tmp_path: Path) -> None:
    path = tmp_path / "trials.parquet"
    write_parquet(path, STUDY, TRIALS)
    read = pq.read_table(path)
    types = {field.name: field.type for field in read.schema}
    assert types["params_lr"] == types["metrics_val_accuracy"] == types["value"] == pa.float64()
    assert types["metrics_broken"] == types["wall_seconds"] == pa.float64()
    assert types["params_layers"] == types["number"] == types["base_trial"] == types["retry_of"] == pa.int64()
    assert types["params_nesterov"] == pa.bool_()
    assert types["params_optimizer"] == types["params_mixed"] == types["failure_kind"] == pa.string()
    table = rows(STUDY, TRIALS)
    expected = [row | {"params_mixed": "true" if row["params_mixed"] is True else "1"} for row in table]
    assert read.to_pylist() == expected


def test_parquet_has_no_room_for_some_numbers(tmp_path: Path) -> None:
    task = {**MANIFEST, "params": {"steps": {"type": "int", "low": 1, "high": 2**70}}}
    study = StudySpec(name="s", task=TaskSpec.model_validate(task))
    write_parquet(tmp_path / "x.parquet", study, [simple_trial(1, 0.5, config={"steps": 2**64})])
    assert pq.read_table(tmp_path / "x.parquet")["params_steps"].to_pylist() == [str(2**64)]


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="Parquet needs pyarrow") as caught:
        write_parquet(tmp_path / "x.parquet", STUDY, TRIALS)
    assert "pip install 'tcs-hpt[export]'" in caught.value.hint


# -- the best configuration -----------------------------------------------------------------------------------


def test_the_best_configuration_is_all_the_script_was_given() -> None:
    best = best_config(STUDY, TRIALS)
    config = rich_trial(1).config
    assert as_text(best) == as_text({**{n: config[n] for n in MANIFEST["params"]}, **MANIFEST["fixed"]})
    down = study_spec(direction="minimize")
    assert best_config(down, TRIALS)["mixed"] == 1
    assert best_config(down, TRIALS[:3])["optimizer"] == CONFIG["optimizer"]


def test_without_a_score_there_is_no_best() -> None:
    with pytest.raises(UserError, match="no trial has finished") as caught:
        best_config(STUDY, [failed_trial(1), interrupted_trial(2), simple_trial(3)])
    assert "tcs-hpt show" in caught.value.hint


def test_flags_are_those_of_a_command_line() -> None:
    config: Config = {"lr": 0.003, "epochs": 20, "shift": -0.5, "name": "it's $HOME", "flag": True}
    assert (
        config_flags(config) == "--lr 0.003 --epochs 20 --shift=-0.5 --name 'it'\"'\"'s $HOME' --flag true\n"
    )


SCALARS: dict[str, Any] = {
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "int": st.integers(-(2**70), 2**70),
    "bool": st.booleans(),
    "text": st.one_of(
        st.text(min_size=1, max_size=20).filter(lambda t: t.strip() and t.isprintable()),
        st.sampled_from(
            ["1e-3", "1.0", "yes", "null", "~", "-x", "--lr", "0x1f", "1_000", "inf", "nan", "#", "a: b"]
        ),
    ),
}


@given(config=st.fixed_dictionaries(SCALARS))
def test_configurations_round_trip(config: Config) -> None:
    assert as_text(json.loads(config_json(config))) == as_text(config)
    assert as_text(yaml.safe_load(config_yaml(config))) == as_text(config)
    words = shlex.split(config_flags(config))
    read: dict[str, str] = {}
    while words:
        name, equals, value = words.pop(0).removeprefix("--").partition("=")
        read[name] = value if equals else words.pop(0)
    assert float(read["float"]) == config["float"]
    assert (int(read["int"]), read["text"]) == (config["int"], config["text"])
    assert read["bool"] == ("true" if config["bool"] else "false")


def test_flags_are_read_by_the_task_as_they_were() -> None:
    best = best_config(STUDY, TRIALS)
    words = shlex.split(config_flags(best))
    pairs = dict(zip(words[::2], words[1::2], strict=True))
    params = STUDY.task.params
    read = {n: coerce(params[n], pairs[f"--{n}"], n) for n in best if n in params}
    assert as_text(read) == as_text({n: v for n, v in best.items() if n in params})


@pytest.mark.parametrize("text", ["1e-3", "1e3", "yes", "null", "12", "0o17", ".5", "nan"])
def test_yaml_quotes_what_another_reader_would_take_for_something_else(text: str) -> None:
    written = config_yaml({"x": text})
    assert written in (f"x: '{text}'\n", f'x: "{text}"\n')


def test_yaml_of_nothing_is_an_empty_mapping() -> None:
    assert yaml.safe_load(config_yaml({})) == {}
