"""A study as it really looks: ten trials with failures, a fallback, rejected attempts, repairs and an interruption."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from tcs_hpt.events import (
    Analysed,
    EpochReported,
    Event,
    Proposed,
    StudyEnded,
    StudyStarted,
    Thinking,
    TrialEnded,
    TrialStarted,
)
from tcs_hpt.records import (
    Analysis,
    Decision,
    EpochRecord,
    Failure,
    FailureKind,
    Message,
    ModelCall,
    Outcome,
    Proposal,
    Rejected,
    Role,
    Trial,
    Usage,
)
from tcs_hpt.spec import (
    CategoricalParameter,
    Config,
    Direction,
    FloatParameter,
    IntParameter,
    Objective,
    StudySpec,
    TaskSpec,
)

MODEL = "embedded:smollm2-135m"
HOSTILE = '<script>alert("x")</script> [bold red]not markup[/] [/x]'

START: Config = {
    "lr": 0.01,
    "optimizer": "adam",
    "epochs": 12,
    "batch_size": 64,
    "dropout": 0.1,
    "weight_decay": 1e-4,
}


def make_task(direction: Direction = "maximize", target: float | None = 0.975) -> TaskSpec:
    metric = "val_accuracy" if direction == "maximize" else "val_loss"
    return TaskSpec(
        schema_version=1,
        name="digits_mlp",
        title="A small neural network on handwritten digits",
        description="A multilayer perceptron classifies 1,797 images of digits, 8 by 8 pixels, into 10 classes.",
        command=("{python}", "train.py"),
        objective=Objective(metric=metric, direction=direction, target=target),
        params={
            "lr": FloatParameter(low=1e-5, high=1e-1, log=True, default=0.01, description="Learning rate."),
            "optimizer": CategoricalParameter(choices=("adam", "sgd"), default="adam"),
            "momentum": FloatParameter(low=0.5, high=0.99, default=0.9, when={"optimizer": ("sgd",)}),
            "epochs": IntParameter(low=2, high=60, default=12),
            "batch_size": CategoricalParameter(choices=(16, 32, 64, 128, 256), default=64),
            "dropout": FloatParameter(low=0.0, high=0.5, default=0.1),
            "weight_decay": FloatParameter(low=1e-6, high=1e-1, log=True, default=1e-4),
        },
        fixed={"patience": 10},
    )


def make_study(**changes: Any) -> StudySpec:
    values: dict[str, Any] = {
        "name": "digits_mlp-demo",
        "task": make_task(),
        "profile": "quick",
        "method": "tcs",
        "seed": 3,
        "description": "Small images of digits; accuracy on unseen writers matters most.",
        "analysis_model": MODEL,
        "optimizer_model": MODEL,
    }
    return StudySpec(**(values | changes))


def make_epochs(last: float, count: int = 12, *, breaks_at: int = 0) -> tuple[EpochRecord, ...]:
    """Curves that approach `last`; from epoch `breaks_at` on, the losses are not finite."""
    records = []
    for epoch in range(1, count + 1):
        rest = math.exp(-3.2 * epoch / count)
        metrics: dict[str, float | None] = {
            "train_loss": round(0.06 + 2.1 * rest, 4),
            "val_loss": round(0.11 + 2.0 * rest + 0.012 * epoch * (1 - last), 4),
            "val_accuracy": round(last - 0.55 * rest + 0.004 * math.sin(epoch), 4),
        }
        broken: tuple[str, ...] = ()
        if breaks_at and epoch >= breaks_at:
            metrics |= {"train_loss": None, "val_loss": None}
            broken = ("train_loss", "val_loss")
        records.append(EpochRecord(epoch=epoch, metrics=metrics, non_finite=broken))
    return tuple(records)


def make_call(role: Role, reply: str, *, attempt: int = 1, problems: tuple[str, ...] = ()) -> ModelCall:
    return ModelCall(
        role=role,
        model=MODEL,
        template=f"{role}.v1",
        template_sha256="3f" * 32,
        messages=(
            Message(role="system", content="You are an expert in tuning machine learning models."),
            Message(role="user", content="# State report\nGoal: maximize val_accuracy\nChoose one change."),
        ),
        reply=reply,
        prompt_tokens=812,
        completion_tokens=143,
        seconds=4.2,
        seed=31 + attempt,
        temperature=0.7,
        attempt=attempt,
        problems=problems,
    )


def make_analysis(change: str, expected: Outcome = "improves", **changes: Any) -> Analysis:
    name = change.partition(":")[0]
    values: dict[str, Any] = {
        "problem_diagnosis": "The network overfits: validation loss rises from epoch 7 while training loss falls. "
        "The gap between them doubled.",
        "impact_assessment": {"lr": "high", "dropout": "medium", "batch_size": "low"},
        "primary_action": name,
        "specific_recommendation": change,
        "reasoning": f"{name} acts on this directly; the other parameters only shift the optimum a little.",
        "expected_outcome": expected,
    }
    return Analysis(**(values | changes))


def make_trial(
    number: int,
    value: float | None = 0.95,
    *,
    config: Mapping[str, Any] | None = None,
    change: str = "",
    base: int | None = None,
    source: str = "agents",
    failure: FailureKind | None = None,
    expected: Outcome = "improves",
    epochs: int = 12,
    breaks_at: int = 0,
    state: str = "",
    **proposal: Any,
) -> Trial:
    values = dict(config or START)
    if change and "analysis" not in proposal:
        proposal["analysis"] = make_analysis(change, expected)
    if change and "calls" not in proposal:
        answer = json.dumps({"change": change, "reason": "The curves say so."})
        proposal["calls"] = (
            make_call("analysis", '{"problem_diagnosis": "..."}'),
            make_call("optimizer", answer),
        )
    made: dict[str, Any] = {
        "config": values,
        "source": source,
        "base_trial": base,
        "change": change,
        "reason": f"A different {change.partition(':')[0]} should close the gap." if change else "",
        "options": (change, "dropout: 0.1 -> 0.25", "batch_size: 64 -> 32") if change else (),
        "report": f"# State report before trial {number}\nGoal: maximize val_accuracy, target 0.975"
        if change
        else "",
        "seconds": 8.6 if change else 0.0,
    }
    failed = None
    if failure is not None:
        messages = {
            "diverged": "val_accuracy is not finite from epoch 3 on.",
            "out_of_memory": "The trial used 4,210 MiB; its limit is 4,096 MiB.",
        }
        failed = Failure(
            kind=failure,
            message=messages.get(failure, "The script ended with exit code 1."),
            stderr="Traceback (most recent call last):\n  ...\nRuntimeError: loss is nan <b>",
        )
        value = None
    metrics = (
        {}
        if value is None
        else {"val_accuracy": value, "val_loss": round(1 - value, 4), "test_accuracy": value - 0.012}
    )
    return Trial(
        number=number,
        config=values,
        state=state or ("failed" if failed else "finished"),
        proposal=Proposal(**(made | proposal)),
        value=value,
        metrics=metrics,
        epochs=make_epochs(value if value is not None else 0.4, epochs, breaks_at=breaks_at),
        failure=failed,
        usage=Usage(wall_seconds=1.9, cpu_seconds=1.8, peak_memory_mb=312.0, exit_code=1 if failed else 0),
        seed=3,
        started_at=f"2025-01-31T10:{number:02d}:00+00:00",
    )


def make_trials() -> list[Trial]:
    """Ten trials that consumed budget, and an interrupted one. Start 0.951, best 0.9733 (trial 8)."""
    lr = START | {"lr": 0.003}
    epochs = lr | {"epochs": 30}
    drop = epochs | {"dropout": 0.25}
    sgd = {**drop, "weight_decay": 0.0012345678901234567, "optimizer": "sgd", "momentum": 0.9}
    return [
        make_trial(1, 0.951, source="start"),
        make_trial(2, 0.9622, config=lr, change="lr: 0.01 -> 0.003", base=1),
        make_trial(
            3,
            config=lr | {"lr": 0.1},
            change="lr: 0.003 -> 0.1",
            base=2,
            failure="diverged",
            breaks_at=3,
            deviation="the analysis named dropout, the optimizer changed lr",
        ),
        make_trial(
            4,
            0.9611,
            config=lr | {"batch_size": 32},
            change="batch_size: 64 -> 32",
            base=2,
            source="expert",
            fallback="the optimizer's answer could not be used after one repair: no such option",
            calls=(
                make_call("analysis", '{"problem_diagnosis": "..."}'),
                make_call("optimizer", f"I would pick {HOSTILE}", problems=("the answer is not JSON",)),
                make_call(
                    "optimizer", '{"change": "Z"}', attempt=2, problems=("Z is not one of the options",)
                ),
            ),
            rejected=(
                Rejected(attempt=1, config={}, reasons=("the answer is not JSON",)),
                Rejected(
                    attempt=2, config={"lr": 7.0}, reasons=("lr must be between 1e-05 and 0.1, got 7.0",)
                ),
            ),
            decision=Decision(accepted=True),
        ),
        make_trial(5, 0.9689, config=epochs, change="epochs: 12 -> 30", base=2, epochs=30),
        make_trial(6, None, config=drop, change="dropout: 0.1 -> 0.25", base=5, state="interrupted"),
        make_trial(
            7,
            0.9705,
            config=drop,
            change="dropout: 0.1 -> 0.25",
            base=5,
            epochs=30,
            expected="about the same",
        ),
        make_trial(
            8,
            0.9733,
            config=drop | {"weight_decay": 0.0012345678901234567},
            change="weight_decay: 1e-4 -> 0.001235",
            base=7,
            epochs=30,
            reason=f"Regularise the weights. {HOSTILE}",
        ),
        make_trial(
            9,
            0.9540,
            config=sgd,
            change="optimizer: adam -> sgd",
            base=8,
            epochs=30,
            analysis=make_analysis(
                "optimizer: adam -> sgd",
                by="diagnosis",
                failure="the analysis was cut at 400 tokens",
                problem_diagnosis="The score stagnates: the last three trials differ by less than 0.005.",
            ),
        ),
        make_trial(
            10,
            config=drop | {"weight_decay": 0.0012345678901234567, "batch_size": 256},
            change="batch_size: 64 -> 256",
            base=8,
            failure="out_of_memory",
            epochs=4,
        ),
        make_trial(
            11,
            0.9731,
            config=drop | {"weight_decay": 0.0012345678901234567, "lr": 0.002},
            change="lr: 0.003 -> 0.002",
            base=8,
            epochs=30,
            expected="worsens",
        ),
    ]


def make_events(study: StudySpec, trials: list[Trial]) -> list[Event]:
    """What a watcher would have seen of these trials."""
    events: list[Event] = [
        StudyStarted(
            study=study, model=MODEL, model_reason="no Ollama server answered", store="", folder="runs"
        )
    ]
    for trial in trials:
        if trial.proposal.calls:
            events.append(Thinking(number=trial.number, role="analysis"))
        if trial.proposal.analysis is not None:
            events.append(Analysed(number=trial.number, analysis=trial.proposal.analysis))
            events.append(Thinking(number=trial.number, role="optimizer"))
        events.append(Proposed(number=trial.number, proposal=trial.proposal))
        events.append(TrialStarted(number=trial.number, config=trial.config))
        events.extend(EpochReported(number=trial.number, epoch=e) for e in trial.epochs)
        events.append(TrialEnded(trial=trial))
    return [*events, StudyEnded(reason="trials")]
