"""Sample records to fill a store with: a task, its studies, and trials in every state, poor and rich in details.

Needs Hypothesis.
"""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from tcs_hpt.records import (
    Analysis,
    Decision,
    EpochRecord,
    Failure,
    Message,
    ModelCall,
    Proposal,
    Rejected,
    Trial,
    Usage,
)
from tcs_hpt.spec import Direction, StudySpec, TaskSpec

MANIFEST: dict[str, Any] = {
    "schema": 1,
    "name": "toy",
    "command": ("{python}", "train.py"),
    "objective": {"metric": "val_accuracy", "direction": "maximize", "target": 0.9},
    "params": {
        "lr": {"type": "float", "low": 1e-6, "high": 0.1, "log": True, "default": 0.01},
        "dropout": {"type": "float", "low": 0.0, "high": 0.55, "step": 0.1},
        "layers": {"type": "int", "low": 1, "high": 5},
        "width": {"type": "int", "low": 8, "high": 63, "step": 8},
        "units": {"type": "int", "low": 1, "high": 4096, "log": True},
        "optimizer": {"type": "categorical", "choices": ("adam", "sgd")},
        "momentum": {"type": "float", "low": 0.5, "high": 0.99, "when": {"optimizer": ("sgd",)}},
        "nesterov": {"type": "categorical", "choices": (True, False), "when": {"optimizer": ("sgd",)}},
        "batch_size": {"type": "categorical", "choices": (32, 64, 128)},
        "mixed": {"type": "categorical", "choices": (True, 1, 0.5, "auto")},
    },
    "fixed": {"patience": 10, "scale": 1.0, "verbose": False},
    "limits": {"trial_seconds": 60.0},
    "profiles": {"smoke": {"fixed": {"patience": 1}, "params": {"layers": {"high": 2}}}},
}
"""A task with every kind of parameter; `mixed` has choices that Python takes for equal."""


def study_spec(name: str = "first", *, direction: Direction = "maximize", trials: int = 10) -> StudySpec:
    """A study of the task above."""
    objective = {**MANIFEST["objective"], "direction": direction}
    task = TaskSpec.model_validate({**MANIFEST, "objective": objective})
    return StudySpec(name=name, task=task, trials=trials, description="Größe zählt 🙂")


CONFIG: dict[str, Any] = {
    "lr": 0.003,
    "dropout": 0.30000000000000004,
    "layers": 3,
    "width": 56,
    "units": 100,
    "optimizer": "adam",
    "batch_size": 64,
    "mixed": True,
}
"""A configuration in which `momentum` and `nesterov` are not active."""


def simple_trial(number: int, value: float | None = None, **changes: Any) -> Trial:
    """A trial with few details: finished with `value`, or running without one.

    Args:
        number: Its number.
        value: Its score.
        changes: Other fields of the record.
    """
    fields: dict[str, Any] = {
        "number": number,
        "config": CONFIG,
        "state": "running" if value is None else "finished",
        "proposal": Proposal(config=CONFIG, source="start"),
        "value": value,
        "metrics": {} if value is None else {"val_accuracy": value},
    }
    return Trial.model_validate(fields | changes)


def rich_trial(number: int, **changes: Any) -> Trial:
    """A finished trial in which every field holds something that a careless store would lose."""
    config = {**CONFIG, "optimizer": "sgd", "momentum": 0.9, "nesterov": False, "mixed": 1}
    call = ModelCall(
        role="optimizer",
        model="embedded:toy",
        template="optimizer.v1",
        template_sha256="0" * 64,
        messages=(Message(role="system", content="Prüfe\x00 das"), Message(role="user", content="'; DROP")),
        reply='{"change": "lr: 0.01 -> 0.003"',
        thoughts="hm\u2028 ...",
        prompt_tokens=7,
        completion_tokens=3,
        seconds=0.1 + 0.2,
        memory_mb=187.25,
        seed=2**40,
        temperature=0.7,
        problems=("the reply ends too early",),
    )
    proposal = Proposal(
        config=config,
        source="agents",
        reason="the loss 📉 still falls",
        base_trial=1,
        change="lr: 0.01 -> 0.003",
        options=("lr: 0.01 -> 0.003", "dropout: 0.2 -> 0.3"),
        analysis=Analysis(
            problem_diagnosis="underfitting",
            impact_assessment={"lr": "high", "dropout": "low"},
            primary_action="lr",
            specific_recommendation="lr: 0.01 -> 0.003",
            reasoning="it oscillates",
            expected_outcome="improves",
        ),
        fallback="the answer could not be read",
        calls=(call, call.model_copy(update={"attempt": 2, "problems": ()})),
        rejected=(
            Rejected(attempt=1, config={"lr": math.inf, "x": [1, 1.0, {"y": None}]}, reasons=("range",)),
        ),
        decision=Decision(accepted=True),
        report="# State\nlr 0.01",
        seconds=1.5,
        cpu_seconds=2.75,
        gpu_seconds=0.5,
        gpu_joules=31.25,
    )
    fields: dict[str, Any] = {
        "number": number,
        "config": config,
        "state": "finished",
        "proposal": proposal,
        "value": 0.1 + 0.2,
        "metrics": {"val_accuracy": 0.1 + 0.2, "test_accuracy": 5e-324, "broken": None},
        "epochs": (
            EpochRecord(epoch=1, metrics={"val_accuracy": 0.25, "loss": 1e300}),
            EpochRecord(epoch=2, metrics={"val_accuracy": None, "loss": 1.0}, non_finite=("val_accuracy",)),
            EpochRecord(epoch=3, metrics={"loss": -0.0}),
        ),
        "usage": Usage(wall_seconds=12.5, cpu_seconds=11.0, peak_memory_mb=512.0, exit_code=0),
        "seed": 3,
        "folder": "/somewhere/trial 1",
        "started_at": "2026-01-02T03:04:05+00:00",
        "replicate_of": 1,
    }
    return Trial.model_validate(fields | changes)


def failed_trial(number: int) -> Trial:
    """A trial that crashed in its second epoch."""
    failure = Failure(kind="crashed", message="exit code 1", stderr='Traceback ...\n  "ß"')
    epochs = (EpochRecord(epoch=1, metrics={"val_accuracy": 0.2}),)
    return simple_trial(number, state="failed", failure=failure, epochs=epochs)


def interrupted_trial(number: int) -> Trial:
    """A trial that somebody ended."""
    failure = Failure(kind="interrupted", message="ended by the user")
    return simple_trial(number, state="interrupted", failure=failure)


def as_text(records: object) -> str:
    """Records with the types of all values, which `==` does not tell apart: True from 1, 1 from 1.0."""
    return repr(records)


_numbers = st.floats(allow_nan=False, allow_infinity=False)
_texts = st.text(max_size=20)
_metrics = st.dictionaries(st.sampled_from(["val_accuracy", "loss", "test_f1"]), st.none() | _numbers)
_epochs = st.lists(st.builds(EpochRecord, epoch=st.integers(0, 9), metrics=_metrics), max_size=4)


@st.composite
def trials(draw: st.DrawFn) -> Trial:
    """Trials of `study_spec` in any state, with a valid configuration and arbitrary texts and numbers."""
    config: dict[str, Any] = {
        "lr": draw(st.floats(1e-6, 0.1)),
        "dropout": draw(st.integers(0, 5)) * 0.1,
        "layers": draw(st.integers(1, 5)),
        "width": draw(st.integers(1, 7)) * 8,
        "units": draw(st.integers(1, 4096)),
        "optimizer": draw(st.sampled_from(["adam", "sgd"])),
        "batch_size": draw(st.sampled_from([32, 64, 128])),
        "mixed": draw(st.sampled_from([True, 1, 0.5, "auto"])),
    }
    if config["optimizer"] == "sgd":
        config |= {"momentum": draw(st.floats(0.5, 0.99)), "nesterov": draw(st.booleans())}
    state = draw(st.sampled_from(["running", "finished", "failed", "interrupted"]))
    failure = Failure(kind="crashed", message=draw(_texts), stderr=draw(_texts))
    return Trial(
        number=draw(st.integers(1, 5)),
        config=config,
        state=state,
        proposal=Proposal(config=config, source="random", reason=draw(_texts), report=draw(_texts)),
        value=draw(_numbers) if state == "finished" else None,
        metrics=draw(_metrics),
        epochs=tuple(draw(_epochs)),
        failure=failure if state in ("failed", "interrupted") else None,
    )
