"""One study, one GGUF file, two ways to it: inside the process, and behind an OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tcs_hpt.catalog import load_task
from tcs_hpt.execution import LocalExecutor
from tcs_hpt.llm import ChatModel, llama_cpp
from tcs_hpt.llm.llama_cpp import LlamaCppModel
from tcs_hpt.llm.machine import usable_cores
from tcs_hpt.llm.openai_compatible import OpenAICompatibleModel
from tcs_hpt.loop import Study, prepare
from tcs_hpt.proposers import make_proposer
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import StudySpec
from tcs_hpt.store import Store

KEY = "a-key-for-the-loopback"


def embedded(file: Path, patch: pytest.MonkeyPatch) -> Iterator[ChatModel]:
    model = LlamaCppModel(file, name="embedded:smollm2-135m", context=2048)
    yield model
    model.close()


def served(file: Path, patch: pytest.MonkeyPatch) -> Iterator[ChatModel]:
    server = llama_cpp._load(llama_cpp.import_engine(), file, 2048, usable_cores(), KEY)
    patch.setenv("TCS_HPT_API_KEY", KEY)
    model = OpenAICompatibleModel.from_name(f"{server.listening_address}/v1")
    yield model
    model.close()
    del server


@pytest.mark.embedded
@pytest.mark.parametrize("open_model", [embedded, served])
def test_decisions_are_valid_and_recorded(
    open_model: Callable[[Path, pytest.MonkeyPatch], Iterator[ChatModel]],
    smollm2: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = load_task("function_2d")
    models = open_model(smollm2, monkeypatch)
    model = next(models)
    with Store.open(str(tmp_path / "studies.db")) as store:
        spec = StudySpec(
            name="s",
            task=task.spec,
            method="tcs-paper",
            trials=3,
            analysis_model=model.name,
            optimizer_model=model.name,
        )
        study = Study(
            spec=prepare(spec, store),
            task_folder=task.folder,
            folder=tmp_path / "s",
            store=store,
            proposer=make_proposer("tcs-paper", analysis_model=model, optimizer_model=model),
            executor=LocalExecutor(),
        )
        assert study.run() == "trials"
        trials = study.trials
    next(models, None)
    space = SearchSpace(task.spec.params)
    assert [t.state for t in trials] == ["finished"] * 3
    assert [t.proposal.source for t in trials] == ["start", "agents", "agents"]
    for trial in trials[1:]:
        assert space.contains(trial.config)
        assert trial.proposal.decision is not None
        assert trial.proposal.decision.accepted
        assert not trial.proposal.fallback
        assert [c.role for c in trial.proposal.calls] == ["analysis", "optimizer"]
        for call in trial.proposal.calls:
            assert call.model == model.name
            assert call.reply
            assert call.prompt_tokens > call.completion_tokens > 0
        assert len(space.changed_parameters(trials[0].config, trial.config)) in (1, 2)
