"""What the API takes: the bodies of requests. Types are taken at their word: `"10"` is no number."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tcs_hpt.records import FailureKind
from tcs_hpt.service.context import MOST
from tcs_hpt.spec import AnswerStyle, Keep, PruneRule, Start
from tcs_hpt.tuning.launch import Launch


class Body(BaseModel):
    """Base of all bodies."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


_NAME = r"^[A-Za-z_][A-Za-z0-9_.-]*$"
_LINE = r"^[^\x00-\x1f\x7f]*$"
_PROSE = r"^[^\x00-\x08\x0b-\x1f\x7f]*$"

ParameterName: TypeAlias = Annotated[str, StringConstraints(pattern=_NAME, max_length=64)]
MetricName: TypeAlias = Annotated[str, StringConstraints(pattern=_NAME, max_length=64)]
Line: TypeAlias = Annotated[str, StringConstraints(pattern=_LINE, max_length=300)]
Prose: TypeAlias = Annotated[str, StringConstraints(pattern=_PROSE, max_length=4000)]
Fixed: TypeAlias = (
    bool
    | Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
    | float
    | Annotated[str, StringConstraints(pattern=_LINE, max_length=300)]
)
Measured: TypeAlias = Annotated[float, Field(allow_inf_nan=True)] | None
"""A metric; NaN, Infinity or null for one that was not finite."""


class StudyCreate(Body):
    """A new study. Everything but `task` or `manifest` may be left out."""

    task: Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]*)?$", max_length=64)] = (
        Field("", examples=["mlp_digits"])
    )
    """A task by name: GET /api/v1/tasks lists them. A worker trains it."""
    manifest: dict[str, Any] | None = Field(
        None,
        examples=[
            {
                "schema": 1,
                "name": "my_net",
                "objective": {"metric": "val_accuracy", "direction": "maximize"},
                "params": {"lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True, "default": 0.001}},
            }
        ],
    )
    """Instead of `task`: what a task.toml says, as JSON and without `command`. The study is external then: you train, and ask and tell."""
    profile: Line = ""
    """A size of the task; empty for `quick` where a built-in task has it."""
    method: Annotated[str, StringConstraints(pattern=r"^[a-z0-9:+-]+$", max_length=100)] = "tcs"
    """Who proposes; GET /api/v1/info lists the methods."""
    trials: int = Field(10, ge=1, le=100_000)
    """The study's total of trials."""
    seed: int = Field(0, ge=0, le=MOST)
    """Drives search, models and training."""
    start: Start = "defaults"
    """What trial 1 is: the task's defaults, sensible values by name (`knowledge`), or the method's own choice (`cold`)."""
    model: Line = "auto"
    """The language model; GET /api/v1/models lists what is known."""
    analysis_model: Line = ""
    """Another model for the Analysis Agent."""
    optimizer_model: Line = ""
    """Another model for the Optimizer Agent."""
    jobs: int = Field(1, ge=1, le=64)
    """Trials at the same time."""
    max_seconds: float | None = Field(None, gt=0, le=1e9)
    """Start no trial after so many seconds."""
    stop_at_target: bool = False
    """Stop when the target is reached."""
    patience: int | None = Field(None, ge=1, le=MOST)
    """Stop after so many trials without a new best."""
    stop_converged: bool = False
    """Stop when the best scores lie on a plateau."""
    max_failures: int = Field(5, ge=0, le=MOST)
    """Stop after so many failures in a row; 0 for never."""
    keep: Keep = "best"
    """Whose artifacts are kept."""
    name: Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]*)?$", max_length=120)] = ""
    """Of the study; empty for one made of the task's name and the time."""
    description: Prose = ""
    """Model, data and goal in your words; the models read it."""
    fix: dict[ParameterName, Fixed] = Field({}, max_length=200, examples=[{"batch_size": 64}])
    """Values of parameters that are not tuned."""
    only: list[ParameterName] = Field([], max_length=200)
    """Tune these alone."""
    fidelity: Line = Field("", examples=["epochs"])
    """Fewer epochs first: the name of what counts them, NAME=FULL or NAME=LEAST..FULL; empty to train every trial in full."""
    answers: AnswerStyle = "choice"
    """`choice`: from a list of changes; `free`: a strong model writes numbers."""
    prune: PruneRule = "none"
    """Who asks trials that are not worth their time to stop."""
    memory: bool = True
    """Whether earlier studies in the same database may offer their values."""
    dry_run: bool = False
    """Check everything, answer what would run, and enter nothing."""

    def launch(self, task: str) -> Launch:
        """How the study is started.

        Args:
            task: Name of the task.
        """
        fields = self.model_dump(exclude={"manifest", "dry_run"})
        return Launch.model_validate(fields | {"task": task, "only": tuple(self.only)})


class AskBody(Body):
    """A configuration is wanted."""

    lease_seconds: float = Field(600.0, ge=10.0, le=86_400.0)
    """How long the service waits for a word of you before it gives the configuration to somebody else. Each reported epoch counts."""


class EpochBody(Body):
    """One epoch of a running trial."""

    epoch: int = Field(ge=0, le=MOST)
    metrics: dict[MetricName, Measured] = Field(max_length=256, examples=[{"val_accuracy": 0.81}])


class FailureBody(Body):
    """Why a trial has no score."""

    kind: FailureKind
    """`interrupted` does not use up budget: the configuration is tried again."""
    message: Annotated[str, StringConstraints(max_length=2000)] = ""
    """One sentence; the models read it."""


class TellBody(Body):
    """How a trial ended: `metrics` or `failure`, one of them."""

    metrics: dict[MetricName, Measured] | None = Field(
        None, max_length=256, examples=[{"val_accuracy": 0.83, "test_accuracy": 0.82}]
    )
    """Final metrics; empty when those of the last epoch count. Names that begin with `test_` are kept and shown to no proposer."""
    failure: FailureBody | None = None


class QuestionBody(Body):
    """A question about a study, in English."""

    question: Annotated[str, StringConstraints(pattern=_PROSE, min_length=1, max_length=1000)] = Field(
        examples=["why did trial 4 fail?"]
    )
