from __future__ import annotations

import functools
import io
import os
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.pretty import pretty_repr

import tcs_hpt
from tcs_hpt.client import CurrentTrial
from tcs_hpt.errors import ModelUnavailable, UserError
from tcs_hpt.events import Event
from tcs_hpt.llm.scripted import ScriptedModel, first_choice
from tcs_hpt.store import Store
from tcs_hpt.tuning import Categorical, Float, StudyResult, tune
from tcs_hpt.tuning import _tune as tuning_module
from tcs_hpt.tuning._tune import function_name
from tcs_hpt.tuning.notebook import NotebookView

SPACE: dict[str, Any] = {
    "lr": Float(1e-4, 1.0, log=True, default=1e-3),
    "optimizer": Categorical(["adam", "sgd"]),
    "momentum": Float(0.5, 0.99, when={"optimizer": "sgd"}),
    "layers": (1, 5),
    "batch_size": 64,
}


def objective(params: dict[str, Any], trial: CurrentTrial) -> float:
    assert params["batch_size"] == 64
    score = 1.0 - abs(params["lr"] - 0.1) - 0.01 * params["layers"]
    for epoch in (1, 2, 3):
        trial.report(epoch=epoch, score=score * epoch / 3)
    return float(score)


@pytest.fixture
def run(tmp_path: Path) -> Any:
    settings = {"direction": "maximize", "method": "expert", "store": tmp_path / "s.db", "progress": False}

    def run(function: Any = objective, space: Any = SPACE, **changes: Any) -> StudyResult:
        return tune(function, space, **{**settings, **changes})

    return run


# -- a study ------------------------------------------------------------------------------------------------


def test_a_function_is_tuned_and_everything_is_recorded(run: Any, tmp_path: Path) -> None:
    result = run(trials=6, name="mine", description="a made-up curve", target=2.0)
    assert (result.stopped, len(result.records)) == ("trials", 6)
    best = max(result.records, key=lambda t: (t.value or -1.0, -t.number))
    assert result.best_trial == best
    assert result.best_value == best.value > (result.records[0].value or 0.0)
    assert result.best_params == {"batch_size": 64, **best.config}
    assert all(len(t.epochs) == 3 for t in result.records)
    assert result.records[0].proposal.source == "start"
    with Store.open(str(tmp_path / "s.db")) as store:
        assert store.load_trials("mine") == list(result.records)
        assert store.get_study("mine") == result.spec
    assert result.spec.task.name == "test_tuning.objective"
    assert result.spec.description == "a made-up curve"
    assert result.folder == tmp_path / "studies" / "mine"


def test_metrics_by_name_and_the_direction(run: Any) -> None:
    def function(params: dict[str, Any], trial: CurrentTrial) -> dict[str, float]:
        return {"val_loss": params["x"] ** 2, "test_loss": 0.5}

    result = run(function, {"x": (-3, 7)}, direction="minimize", metric="val_loss", trials=4)
    assert result.best_value == min(t.value for t in result.records)
    assert result.best_trial.metrics["test_loss"] == 0.5


def test_the_agents_are_asked_and_a_given_model_stays_open(run: Any) -> None:
    class Model(ScriptedModel):
        closed = False

        def close(self) -> None:
            self.closed = True

    model = Model(then=first_choice)
    seen: list[Event] = []
    result = run(method="tcs", model=model, trials=3, watchers=[seen.append])
    assert [t.proposal.source for t in result.records] == ["start", "agents", "agents"]
    assert not model.closed
    assert result.spec.analysis_model == model.name
    assert [e.kind for e in seen].count("trial_ended") == 3


def test_without_any_model_nothing_acts_in_its_place(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def nobody(name: str, **_: Any) -> Any:
        raise ModelUnavailable("there is no language model to use", hint="Start Ollama.")

    monkeypatch.setattr(tuning_module, "open_model", nobody)
    with pytest.raises(ModelUnavailable, match="no language model") as caught:
        run(lambda params, trial: calls.append(params), method="tcs")
    assert 'method="expert"' in caught.value.hint
    assert calls == []


def test_the_same_name_goes_on(run: Any) -> None:
    numbers: list[int] = []

    def function(params: dict[str, Any], trial: CurrentTrial) -> float:
        numbers.append(trial.number)
        return float(params["x"])

    run(function, {"x": (0, 50)}, name="mine", trials=2)
    result = run(function, {"x": (0, 50)}, name="mine", trials=5)
    assert numbers == [1, 2, 3, 4, 5] == [t.number for t in result.records]
    with pytest.raises(UserError, match=r"task\.params\.x\.high was 50, now 60"):
        run(function, {"x": (0, 60)}, name="mine", trials=5)
    assert run(function, {"x": (0, 50)}, trials=1).spec.name != "mine"


def test_an_exception_is_a_record(run: Any) -> None:
    def function(params: dict[str, Any], trial: CurrentTrial) -> float:
        if trial.number == 2:
            raise ValueError("no such layer")
        return float(params["x"])

    result = run(function, {"x": (0, 50)}, trials=4)
    assert [t.state for t in result.records] == ["finished", "failed", "finished", "finished"]
    assert result.records[1].failure.message == "ValueError: no such layer"


def test_five_failures_in_a_row_end_the_study_and_say_why(run: Any) -> None:
    def function(params: dict[str, Any], trial: CurrentTrial) -> float:
        raise ValueError(f"no such file in trial {trial.number}")

    result = run(function, {"x": (0, 50)}, trials=20, name="broken")
    assert (result.stopped, len(result.records)) == ("failures", 5)
    for text in (repr(result), result.headline, result._repr_html_(), pretty_repr(result, max_width=200)):
        assert "Trial 5 crashed: ValueError: no such file in trial 5" in text
    with pytest.raises(UserError, match="no trial of study 'broken' has a score") as caught:
        result.best_params  # noqa: B018
    assert "no such file in trial 5" in caught.value.hint


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_returns_what_there_is(run: Any, presses: int) -> None:
    def function(params: dict[str, Any], trial: CurrentTrial) -> float:
        if trial.number == 3:
            for _ in range(presses):
                os.kill(os.getpid(), signal.SIGINT)
            for _ in range(2000):
                trial.report(score=0.0)
        return float(params["x"])

    result = run(function, {"x": (0, 50)}, trials=10)
    assert result.stopped == "interrupted"
    assert [t.state for t in result.records] == ["finished", "finished", "interrupted"]
    assert "--name" not in result.headline


def test_trials_side_by_side(run: Any) -> None:
    result = run(trials=6, jobs=3)
    assert len({tuple(t.config.items()) for t in result.records}) == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"memory_mb": 100}, "cannot be held to a limit of 100 MiB"),
        ({"method": "nonsense"}, "there is no method 'nonsense'"),
        ({"direction": "up"}, "direction"),
        ({"metric": "test_accuracy"}, "must not be a test metric"),
        ({"name": "a/b"}, "cannot name a study"),
        ({"jobs": 0}, "`jobs` must be at least 1"),
        ({"trials": 0}, "`trials`"),
        ({"start": "warm"}, "`start`"),
        ({"prune": "some"}, "`prune`"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(run: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(**changes)


def test_a_function_is_called_what_it_is() -> None:
    class Callable:
        def __call__(self) -> None: ...

    assert function_name(objective) == "test_tuning.objective"
    assert (
        function_name(
            functools.partial(objective, trial=None)  # type: ignore[arg-type]
        )
        == "test_tuning.objective"
    )
    assert function_name(Callable()) == "test_tuning.Callable"
    assert function_name(lambda: None) == "test_tuning.lambda"


# -- processes of their own ---------------------------------------------------------------------------------

SCRIPT = """
import sys
import tcs_hpt

def objective(params, trial):
    if params["x"] == 25:
        import os
        os.abort()
    return params["x"]

def main():
    result = tcs_hpt.tune(objective, {"x": tcs_hpt.Int(0, 50, default=25)}, direction="maximize", method="expert",
                          trials=3, isolate=True, store=sys.argv[1], progress=False, max_failures=2)
    print(result.stopped, [t.state for t in result.records])
    print(result.headline)

"""


def script(tmp_path: Path, last_line: str) -> str:
    path = tmp_path / "train.py"
    path.write_text(SCRIPT + last_line + "\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(path), str(tmp_path / "s.db")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_crash_of_the_interpreter_ends_one_trial_only(tmp_path: Path) -> None:
    assert script(tmp_path, 'if __name__ == "__main__": main()').startswith(
        "trials ['failed', 'finished', 'finished']"
    )


def test_a_script_without_a_guard_is_told(tmp_path: Path) -> None:
    out = script(tmp_path, "main()")
    assert out.startswith("failures ['failed', 'failed']")
    assert "tunes at its top level" in out


# -- what comes back ----------------------------------------------------------------------------------------


def test_the_table_of_trials(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(trials=3)
    table = result.trials
    assert list(table["number"]) == [1, 2, 3]
    assert list(table["value"]) == [t.value for t in result.records]
    assert {"params_lr", "metrics_score", "source", "failure_kind"} <= set(table.columns)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match="needs pandas") as caught:
        result.trials  # noqa: B018
    assert "pip install pandas" in caught.value.hint


def test_the_report_is_a_path_and_shows_itself(run: Any, tmp_path: Path) -> None:
    result = run(trials=2, name="mine")
    report = result.report()
    assert Path(report) == tmp_path / "studies" / "mine" / "report.html" == Path(str(report))
    page = Path(report).read_text(encoding="utf-8")
    assert "test_tuning.objective({" in page
    assert "tcs-hpt tune" not in page
    assert report._repr_html_().startswith('<iframe srcdoc="&lt;!')
    assert os.fspath(result.report(tmp_path / "mine.html")) == str(tmp_path / "mine.html")


def test_a_result_shows_its_best(run: Any) -> None:
    result = run(trials=2, name="mine")
    assert repr(result).startswith("StudyResult(name='mine', best_value=")
    assert "<table>" in result._repr_html_()
    assert "All trials are done." in result.headline


# -- progress -----------------------------------------------------------------------------------------------


def test_a_pipe_gets_lines_on_standard_error(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run(trials=2, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "trial 2/2" in err
    run(trials=2, progress=False)
    assert capsys.readouterr() == ("", "")


def test_a_notebook_gets_one_table_that_grows(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Handle:
        def update(self, content: str) -> None:
            shown.append(content)

    fake = types.ModuleType("IPython.display")
    fake.HTML = str  # type: ignore[attr-defined]
    fake.display = lambda content, display_id: Handle()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    run(trials=3, progress=True)
    assert "<table>" in shown[0]
    assert shown[-1].count("<tr>") == 4
    assert "All trials are done." in shown[-1]


def test_epochs_alone_do_not_flood_a_notebook(run: Any) -> None:
    drawn: list[str] = []
    view = NotebookView(drawn.append, clock=lambda: 0.0)
    run(trials=2, watchers=[view])
    quiet = len(drawn)
    later = iter(range(10**6))
    view = NotebookView(drawn.append, clock=lambda: float(next(later)))
    run(trials=2, watchers=[view])
    assert len(drawn) - quiet == quiet + 6
    assert "epoch 3" in "".join(drawn[quiet:])


def test_text_of_a_script_is_never_markup(run: Any) -> None:
    def function(params: dict[str, Any], trial: CurrentTrial) -> float:
        raise ValueError("<script>alert(1)</script>")

    assert "<script>" not in run(function, {"x": (0, 5)}, trials=1)._repr_html_()


def test_the_names_are_exported() -> None:
    assert (tcs_hpt.tune, tcs_hpt.Float, tcs_hpt.StudyResult) == (tune, Float, StudyResult)


def test_a_terminal_gets_the_live_view_only_where_the_function_prints_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tcs_hpt.report.live import LiveView
    from tcs_hpt.report.plain import PlainView
    from tcs_hpt.tuning import progress

    monkeypatch.setattr(progress, "Console", lambda stderr: Console(file=io.StringIO(), force_terminal=True))
    for apart, kind in ((True, LiveView), (False, PlainView)):
        with progress.watching(shown=True, apart=apart) as views:
            assert [type(v) for v in views] == [kind]
