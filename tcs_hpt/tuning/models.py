"""The language models of one study: which ones, opened, and the progress of fetching one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from tcs_hpt.llm import ChatModel
from tcs_hpt.spec import StudySpec
from tcs_hpt.store import Store

Opening: TypeAlias = Callable[[str], tuple[ChatModel, str]]
"""From a name to a model and the reason why it is this one."""


@contextmanager
def download_progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    """A progress bar for a model file, drawn only once something is fetched. Takes bytes so far and in total."""
    progress = Progress(
        TextColumn("fetching the model"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    bar = progress.add_task("model", total=None)

    def update(done: int, total: int) -> None:
        progress.start()  # does nothing when it was started
        progress.update(bar, completed=done, total=total)

    try:
        yield update
    finally:
        if progress.live.is_started:
            progress.stop()


def wanted(store: Store, study: str, analysis: str, optimizer: str) -> tuple[str, str]:
    """The models to open: a study that is continued goes on with its own where none is named."""
    if not store.has_study(study):
        return analysis, optimizer
    began = store.get_study(study)
    return (
        began.analysis_model if analysis == "auto" and began.analysis_model else analysis,
        began.optimizer_model if optimizer == "auto" and began.optimizer_model else optimizer,
    )


def open_models(
    stack: ExitStack,
    opening: Opening,
    analysis: str,
    optimizer: str,
    *,
    given: Mapping[str, ChatModel] = MappingProxyType({}),
) -> tuple[ChatModel, ChatModel, str]:
    """The two agents' models, one for both when they have the same name, and why these.

    Args:
        stack: Closes what is opened here.
        opening: How to open one.
        analysis: Name of the Analysis Agent's.
        optimizer: Name of the Optimizer Agent's.
        given: Models that are open already, by name; they stay open.
    """

    def opened(name: str) -> tuple[ChatModel, str]:
        if name in given:
            return given[name], f"The model {name} was given."
        model, reason = opening(name)
        stack.callback(model.close)
        return model, reason

    analyst, reason = opened(analysis)
    if optimizer == analysis:
        return analyst, analyst, reason
    second, other = opened(optimizer)
    return analyst, second, f"{reason} {other}"


def with_models(spec: StudySpec, analyst: ChatModel, optimizer: ChatModel) -> StudySpec:
    """The study, with the names of its models."""
    return spec.model_copy(update={"analysis_model": analyst.name, "optimizer_model": optimizer.name})


def model_names(spec: StudySpec) -> str:
    """A study's models in one line; empty for methods without one."""
    if spec.analysis_model == spec.optimizer_model:
        return spec.analysis_model
    return f"{spec.analysis_model} (analysis), {spec.optimizer_model} (optimizer)"
