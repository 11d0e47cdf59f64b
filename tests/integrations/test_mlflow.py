from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from typer.testing import CliRunner

from tcs_hpt import __version__
from tcs_hpt.cli.export import export
from tcs_hpt.errors import UserError
from tcs_hpt.events import EpochReported
from tcs_hpt.integrations.mlflow import Exported, export_study
from tcs_hpt.records import EpochRecord, Trial
from tcs_hpt.store import Store
from tcs_hpt.testing.samples import (
    failed_trial,
    interrupted_trial,
    rich_trial,
    simple_trial,
    study_spec,
)

pytestmark = [
    # MLflow 3.17 uses what SQLAlchemy 2.1 is about to drop.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

CREATED = "2026-01-02T03:00:00+00:00"
START = 1767323045000  # 2026-01-02T03:04:05 UTC, when the rich trial started


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow")  # one database, since it takes seconds to make


@pytest.fixture
def uri(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(folder)  # where MLflow keeps artifacts
    return f"sqlite:///{folder}/mlflow.db"


@pytest.fixture
def client(uri: str) -> Iterator[MlflowClient]:
    client = MlflowClient(tracking_uri=uri)
    yield client
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id]):
            client.delete_run(run.info.run_id)


def send(uri: str, trials: Sequence[Trial], **options: Any) -> Exported:
    settings: dict[str, Any] = {"uri": uri, "version": "1.2.3", "created": CREATED}
    return export_study(study_spec(), trials, **(settings | options))


def runs(client: MlflowClient, experiment: str = "toy") -> dict[str, Run]:
    """Every run by its name."""
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    every = client.search_runs([found.experiment_id], run_view_type=ViewType.ACTIVE_ONLY)
    assert len({run.info.run_name for run in every}) == len(every), "a run twice"
    return {run.info.run_name: run for run in every}


def history(client: MlflowClient, run: Run, metric: str) -> list[tuple[int, float, int]]:
    """Step, value and time, by step; MLflow gives them in no order."""
    every = client.get_metric_history(run.info.run_id, metric)
    return sorted(((m.step, m.value, m.timestamp) for m in every), key=lambda point: point[0])


def test_a_study_is_a_run_with_runs_below_it(uri: str, client: MlflowClient) -> None:
    trials = [rich_trial(1), failed_trial(2), interrupted_trial(3), simple_trial(4, 0.1), simple_trial(5)]
    done = send(uri, trials, report="<html>report</html>")
    assert done.trials == {"new": 5, "updated": 0, "unchanged": 0}
    found = runs(client)
    assert set(found) == {"first", *(f"trial {n}" for n in range(1, 6))}
    study = found.pop("first")
    assert study.info.run_id == done.run_id
    assert {run.data.tags["mlflow.parentRunId"] for run in found.values()} == {done.run_id}
    assert {name: run.info.status for name, run in found.items()} == {
        "trial 1": "FINISHED",
        "trial 2": "FAILED",
        "trial 3": "KILLED",
        "trial 4": "FINISHED",
        "trial 5": "RUNNING",
    }
    assert study.info.status == "RUNNING"
    assert study.data.params == {
        "task": "toy",
        "profile": "",
        "method": "tcs",
        "start": "defaults",
        "seed": "0",
        "metric": "val_accuracy",
        "direction": "maximize",
    }
    tags = study.data.tags
    assert (tags["tcs_hpt.model"], tags["tcs_hpt.version"]) == ("embedded:toy", "1.2.3")
    assert tags["tcs_hpt.best_trial"] == "1"
    assert tags["tcs_hpt.prompts"] == "optimizer.v1 000000000000"
    assert tags["tcs_hpt.description"] == "Größe zählt 🙂"
    scores = [(step, value) for step, value, _ in history(client, study, "tcs_hpt/score")]
    assert scores == [(1, 0.1 + 0.2), (4, 0.1)]
    assert [v for _, v, _ in history(client, study, "tcs_hpt/best_score")] == [0.1 + 0.2] * 2
    kept = Path(client.download_artifacts(done.run_id, "report.html"))
    assert kept.read_text() == "<html>report</html>"


def test_a_trial_with_everything_in_it(uri: str, client: MlflowClient) -> None:
    send(uri, [rich_trial(1)])
    run = runs(client)["trial 1"]
    assert run.data.params["dropout"] == "0.30000000000000004"
    assert (run.data.params["nesterov"], run.data.params["patience"]) == ("false", "10")
    tags = run.data.tags
    assert tags["tcs_hpt.diagnosis"] == "underfitting"
    assert tags["tcs_hpt.reason"] == "the loss 📉 still falls"
    assert tags["tcs_hpt.reasoning"] == "it oscillates"
    assert tags["tcs_hpt.change"] == "lr: 0.01 -> 0.003"
    assert (tags["tcs_hpt.method"], tags["tcs_hpt.task"], tags["tcs_hpt.seed"]) == ("tcs", "toy", "3")
    assert tags["mlflow.note.content"].startswith("underfitting\n\n`lr: 0.01 -> 0.003`")
    assert (run.info.start_time, run.info.end_time) == (START, START + 12500)
    # Epochs without a known time are spread over the trial's.
    losses = history(client, run, "loss")
    assert losses == [(1, 1e300, START + 4166), (2, 1.0, START + 8333), (3, -0.0, START + 12500)]
    (_, first, _), (_, second, _) = history(client, run, "val_accuracy")
    assert first == 0.25
    assert math.isnan(second)
    final = run.data.metrics
    assert final["tcs_hpt/score"] == final["final/val_accuracy"] == 0.1 + 0.2
    assert final["final/test_accuracy"] == 5e-324
    assert (final["tcs_hpt/wall_seconds"], final["tcs_hpt/peak_memory_mb"]) == (12.5, 512.0)


def test_again_nothing_is_doubled(uri: str, client: MlflowClient) -> None:
    trials = [rich_trial(1), failed_trial(2)]
    first = send(uri, trials, report="old")
    before = {name: repr(run.data.to_dictionary()) for name, run in runs(client).items()}
    second = send(uri, trials, report="new")
    assert second.trials == {"new": 0, "updated": 0, "unchanged": 2}
    assert second.run_id == first.run_id
    assert {name: repr(run.data.to_dictionary()) for name, run in runs(client).items()} == before
    assert len(history(client, runs(client)["first"], "tcs_hpt/score")) == 1
    assert Path(client.download_artifacts(first.run_id, "report.html")).read_text() == "new"


def test_a_trial_that_ran_is_completed(uri: str, client: MlflowClient) -> None:
    def at(epochs: int) -> tuple[EpochRecord, ...]:
        return tuple(EpochRecord(epoch=e, metrics={"loss": 1 / e}) for e in range(1, epochs + 1))

    reported = {1: {1: "2026-01-02T03:04:06+00:00", 2: "2026-01-02T03:04:08+00:00"}}
    running = simple_trial(1, epochs=at(2), started_at="2026-01-02T03:04:05+00:00")
    send(uri, [running, simple_trial(2, 0.5)], reported=reported)
    run = runs(client)["trial 1"]
    assert run.info.status == "RUNNING"
    # The first trial may yet be the best, so that nothing is known of the study's course.
    assert history(client, runs(client)["first"], "tcs_hpt/score") == []
    ended = simple_trial(1, 0.75, epochs=at(4), started_at=running.started_at)
    done = send(uri, [ended, simple_trial(2, 0.5)], reported=reported)
    assert done.trials == {"new": 0, "updated": 1, "unchanged": 1}
    found = runs(client)
    assert found["trial 1"].info.run_id == run.info.run_id
    assert (found["trial 1"].info.status, found["first"].info.status) == ("FINISHED", "FINISHED")
    losses = history(client, found["trial 1"], "loss")
    assert [(step, value) for step, value, _ in losses] == [(1, 1.0), (2, 1 / 2), (3, 1 / 3), (4, 1 / 4)]
    assert [when - START for _, _, when in losses[:2]] == [1000, 3000]
    assert found["trial 1"].data.metrics["tcs_hpt/score"] == 0.75
    best = [(step, value) for step, value, _ in history(client, found["first"], "tcs_hpt/best_score")]
    assert best == [(1, 0.75), (2, 0.75)]


def test_what_was_broken_off_is_completed(
    uri: str, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_batch = MlflowClient.log_batch

    def breaks(self: MlflowClient, run_id: str, **entities: Any) -> None:
        if any(m.key == "loss" for m in entities.get("metrics", ())):
            raise ConnectionError("gone")
        log_batch(self, run_id, **entities)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", breaks)
        with pytest.raises(UserError, match="cannot be used: gone"):
            send(uri, [rich_trial(1)])
    assert send(uri, [rich_trial(1)]).trials == {"new": 0, "updated": 1, "unchanged": 0}
    assert len(history(client, runs(client)["trial 1"], "loss")) == 3


def test_many_values_go_in_pieces(uri: str, client: MlflowClient) -> None:
    epochs = tuple(EpochRecord(epoch=e, metrics={"a": e, "b": -e}) for e in range(1, 702))
    config = {f"p{n}": n for n in range(130)}
    send(uri, [simple_trial(1, 0.5, epochs=epochs, config=config)])
    run = runs(client)["trial 1"]
    assert [value for _, value, _ in history(client, run, "b")] == [-float(e) for e in range(1, 702)]
    assert len(run.data.params) == 133  # with the fixed ones


def test_texts_that_no_server_takes(uri: str, client: MlflowClient) -> None:
    proposal = simple_trial(1).proposal.model_copy(update={"reason": "a\0b \ud800 " + "long " * 5000})
    send(uri, [simple_trial(1, 0.5, proposal=proposal)])
    reason = runs(client)["trial 1"].data.tags["tcs_hpt.reason"]
    assert reason.startswith("a\\x00b \\ud800 long ")
    assert len(reason) == 5000
    assert reason.endswith(" ...")


def test_studies_of_the_same_name_do_not_mix(uri: str, client: MlflowClient) -> None:
    one = send(uri, [simple_trial(1, 0.5)])
    other = send(uri, [simple_trial(1, 0.25)], created="2026-02-02T03:00:00+00:00")
    assert one.run_id != other.run_id
    assert other.trials["new"] == 1
    elsewhere = send(uri, [simple_trial(1, 0.5)], experiment="my experiment")
    assert elsewhere.run_id not in (one.run_id, other.run_id)
    assert set(runs(client, "my experiment")) == {"first", "trial 1"}


def test_a_deleted_experiment_is_named(uri: str, client: MlflowClient) -> None:
    client.delete_experiment(client.create_experiment("gone"))
    with pytest.raises(UserError, match="'gone' was deleted"):
        send(uri, [], experiment="gone")


def test_errors_hide_the_password(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match=r"MLflow at http://me:\*\*\*@127.0.0.1:9 cannot be used") as caught:
        send("http://me:secret@127.0.0.1:9", [])
    assert "secret" not in str(caught.value)
    assert "--mlflow" in caught.value.hint


def test_mlflow_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UserError, match="needs mlflow") as caught:
        send("sqlite:///nowhere.db", [])
    assert caught.value.hint == "Run `pip install 'tcs-hpt[mlflow]'`."
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


# -- the command ---------------------------------------------------------------------------------------------

APP = typer.Typer()
APP.command("export")(export)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = str(tmp_path / "studies.db")
    monkeypatch.setenv("TCS_HPT_STORE", url)
    with Store.open(url) as database:
        database.create_study(study_spec())
        for trial in (rich_trial(1), failed_trial(2)):
            database.save_trial("first", trial)
        for epoch in rich_trial(1).epochs:
            event = EpochReported(number=1, epoch=epoch)
            database.append_event("first", event, f"2026-01-02T03:04:0{5 + epoch.epoch}+00:00")
    return url


def run(*arguments: str) -> str:
    done = CliRunner().invoke(APP, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command(store: str, uri: str, client: MlflowClient) -> None:
    said = run("first", "--mlflow", uri, "--experiment", "by command")
    assert said.endswith(f" in experiment by command at {uri}; trials: 2 new, 0 updated, 0 unchanged\n")
    found = runs(client, "by command")
    assert set(found) == {"first", "trial 1", "trial 2"}
    assert found["first"].data.tags["tcs_hpt.version"] == __version__
    assert [when - START for _, _, when in history(client, found["trial 1"], "loss")] == [1000, 2000, 3000]
    report = Path(client.download_artifacts(found["first"].info.run_id, "report.html")).read_text()
    assert "<html" in report
    assert "lr: 0.01" in report
    again = run("first", "--mlflow", uri, "--experiment", "by command")
    assert again.endswith("trials: 0 new, 0 updated, 2 unchanged\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("first", "--mlflow", "sqlite:///x.db", "--best"), "an export of its own"),
        (("first", "--mlflow", "sqlite:///x.db", "--format", "csv"), "an export of its own"),
        (("first", "--mlflow", "sqlite:///x.db", "-o", "x"), "an export of its own"),
        (("first", "--experiment", "x"), "a name in MLflow"),
        (("frist", "--mlflow", "sqlite:///x.db"), "no study 'frist'"),
    ],
)
def test_wrong_use_is_named(store: str, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        run(*arguments)
    assert caught.value.hint


def test_the_studies_own_database_is_refused(store: str) -> None:
    with pytest.raises(UserError, match="cannot be MLflow's too"):
        run("first", "--mlflow", f"sqlite:///{store}")
