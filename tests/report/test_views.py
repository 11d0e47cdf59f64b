from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from rich.cells import cell_len
from rich.console import Console

from tcs_hpt.events import Analysed, EpochReported, Event, Proposed, StudyEnded, StudyStarted, TrialEnded
from tcs_hpt.records import Artifact, Rejected, Trial
from tcs_hpt.report.closing import print_summary
from tcs_hpt.report.html import render_html
from tcs_hpt.report.json_lines import JsonView
from tcs_hpt.report.live import PANEL_LINES, LiveView, sparkline
from tcs_hpt.report.plain import PlainView
from tcs_hpt.report.words import size

from .sample import HOSTILE, make_analysis, make_events, make_study, make_trial, make_trials


def terminal(width: int = 80) -> Console:
    return Console(
        file=io.StringIO(), record=True, width=width, height=40, force_terminal=True, legacy_windows=False
    )


def frame(view: LiveView, width: int) -> list[str]:
    paper = Console(file=io.StringIO(), width=width, record=True)
    paper.print(view._frame())
    return paper.export_text().rstrip("\n").split("\n")


def events_until(number: int, epoch: int) -> list[Event]:
    """Events up to one epoch of one trial."""
    events = make_events(make_study(), make_trials())
    stop = next(
        i
        for i, e in enumerate(events)
        if isinstance(e, EpochReported) and e.number == number and e.epoch.epoch == epoch
    )
    return events[: stop + 1]


# -- live ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_frame_keeps_its_height_and_fits(width: int) -> None:
    view = LiveView(terminal(width))
    for event in events_until(8, 20):
        view(event)
        lines = frame(view, width)
        assert all(cell_len(line) <= width for line in lines)
        assert len(lines) in (1, PANEL_LINES + 2)


def test_the_frame_shows_the_running_trial() -> None:
    ticks = iter(range(10_000))
    view = LiveView(terminal(160), clock=lambda: float(next(ticks)))
    for event in events_until(8, 20):
        view(event)
    text = "\n".join(frame(view, 160))
    for said in (
        "trial 8 of 10",
        "training for",
        "epoch 20",
        "val_accuracy",
        "▁",
        "█",
        "The network overfits: validation loss rises from epoch 7 while training loss falls.",
        "expects   improves",
        "weight_decay: 1e-4 -> 0.001235  by agents",
        "Regularise the weights.",
        "best 0.9705 (trial 7)",
        "1 min 00 s choosing, 13 s training",
        "tokens",
    ):
        assert said in text, said
    assert "The gap between them doubled" not in text
    assert HOSTILE in text


def test_finished_trials_stay_on_the_terminal() -> None:
    console = terminal()
    with LiveView(console) as view:
        for event in make_events(make_study(), make_trials()):
            view(event)
    text = console.export_text()
    assert all(cell_len(line) <= 80 for line in text.split("\n"))
    for said in (
        "model embedded:smollm2-135m (no Ollama server answered)",
        "0.9733    +0.0028",
        "by agents, new best",
        "diverged",
        "out of memory",
        "fallback: the optimizer's answer could not be used",
        "interrupted",
        "All trials are done.",
    ):
        assert said in text, said
    assert text.count("new best") == 4  # trials 2, 5, 7, 8; the start is nothing new


def test_a_resumed_study_knows_its_best() -> None:
    trials = make_trials()
    view = LiveView(terminal(120), earlier=trials[:8])
    view(StudyStarted(study=make_study(), finished_trials=8))
    view(Proposed(number=9, proposal=trials[8].proposal))
    assert "best 0.9733 (trial 8)" in "\n".join(frame(view, 120))


def test_parallel_trials_are_counted() -> None:
    view = LiveView(terminal(120))
    view(StudyStarted(study=make_study()))
    view(Proposed(number=2, proposal=make_trials()[1].proposal))
    view(Proposed(number=3, proposal=make_trials()[2].proposal))
    text = "\n".join(frame(view, 120))
    assert "trial 2 of 10" in text
    assert "and 1 more trial running" in text
    view(StudyEnded(reason="interrupted"))
    assert frame(view, 120) == [""]


def test_the_view_survives_an_error_inside_it() -> None:
    console = terminal()

    def run() -> None:
        with LiveView(console) as view:
            view(StudyStarted(study=make_study()))
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        run()
    assert "\x1b[?25h" in console.file.getvalue()  # type: ignore[attr-defined]  # the cursor is back


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], ""),
        ([1.0], "▄"),
        ([0.0, 0.5, 1.0], "▁▅█"),
        ([0.0, None, float("inf"), 1.0], "▁··█"),
        ([None, None], "··"),
        ([-1.7e308, 1.7e308], "▁█"),
        ([2.0, 2.0], "▄▄"),
        ([0.0, 5e-324], "▄▄"),
    ],
)
def test_sparkline(values: list[float | None], text: str) -> None:
    assert sparkline(values) == text


def test_a_long_sparkline_keeps_its_ends() -> None:
    line = sparkline([float(i) for i in range(1000)], width=10)
    assert (len(line), line[0], line[-1]) == (10, "▁", "█")


# -- plain --------------------------------------------------------------------------------------------------


def plain(events: list[Event]) -> list[str]:
    stream = io.StringIO()
    view = PlainView(stream)
    for event in events:
        view(event)
    return stream.getvalue().splitlines()


def test_plain_lines() -> None:
    lines = plain(make_events(make_study(), make_trials()))
    for said in (
        "trial 2/10  val_accuracy 0.9622 (best 0.9622)  lr: 0.01 -> 0.003  by agents  8.6 s choosing, 1.9 s training",
        "trial 3/10  diverged: val_accuracy is not finite from epoch 3 on.  lr: 0.003 -> 0.1  by agents  "
        "8.6 s choosing, 1.9 s training",
        "  analysis: The network overfits: validation loss rises from epoch 7 while training loss falls. "
        "Recommends lr: 0.01 -> 0.003. Expects: improves.",
        "  agents chose lr: 0.01 -> 0.003: A different lr should close the gap.",
        "  fallback to expert: the optimizer's answer could not be used after one repair: no such option",
        "  departs from the analysis: the analysis named dropout, the optimizer changed lr",
        "All trials are done.",
    ):
        assert said in lines, said
    assert not any("11/10" in line for line in lines)


def test_a_plain_line_is_one_line_without_control_characters() -> None:
    proposal = make_trial(2).proposal.model_copy(update={"reason": "a\nb\x1b[2Jc"})
    assert plain([Proposed(number=2, proposal=proposal)])[0].endswith("a b [2Jc")


def test_a_bootstrap_analysis_expects_nothing() -> None:
    analysis = make_analysis("").model_copy(update={"expected_outcome": None})
    line = plain([Analysed(number=1, analysis=analysis)])[0]
    assert "Expects" not in line
    assert "Recommends" not in line


def test_plain_writes_what_the_stream_can_hold() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    PlainView(stream)(TrialEnded(trial=make_trial(1, change="größe: 1 -> 2")))
    assert b"gr??e: 1 -> 2" in raw.getvalue()


# -- json ---------------------------------------------------------------------------------------------------


def test_json_lines_read_back_as_the_same_events() -> None:
    events = make_events(make_study(), make_trials())
    stream = io.StringIO()
    view = JsonView(stream)
    for event in events:
        view(event)
    lines = stream.getvalue().splitlines()
    reader: TypeAdapter[Event] = TypeAdapter(Event)
    assert [reader.validate_json(line) for line in lines] == events
    assert all(line.isascii() for line in lines)


def test_json_holds_whatever_a_model_proposed() -> None:
    odd = {"lr": float("nan"), "x": {1: (float("inf"), {"a"})}, "y": object(), "z": "\udce9"}
    proposal = make_trial(1).proposal.model_copy(
        update={"rejected": (Rejected(attempt=1, config=odd, reasons=("no",)),)}
    )
    stream = io.StringIO()
    JsonView(stream)(Proposed(number=1, proposal=proposal))
    config = json.loads(stream.getvalue())["proposal"]["rejected"][0]["config"]
    assert config["lr"] is None
    assert config["x"] == {"1": [None, ["a"]]}
    assert config["z"] == "\udce9"


# -- closing ------------------------------------------------------------------------------------------------


def with_files(trial: Trial, *, kept: bool) -> Trial:
    files = (
        Artifact(path="model.pt", bytes=1_200_000, kept=kept),
        Artifact(path="tree.json", bytes=300, kept=kept),
    )
    return trial.model_copy(update={"artifacts": files, "folder": f"/studies/demo/trial_{trial.number:04d}"})


def test_kept_files_and_disk_use_are_shown() -> None:
    trials = [with_files(t, kept=t.number == 8) for t in make_trials()]
    console = Console(file=io.StringIO(), record=True, width=100)
    print_summary(console, make_study(), trials, task_ref="digits_mlp", disk_bytes=34_560_000)
    text = console.export_text()
    assert "2 files kept (1.2 MB): model.pt, tree.json" in text
    assert "/studies/demo/trial_0008/artifacts" in text
    assert "disk: 34.6 MB in /studies/demo" in text
    page = render_html(make_study(), trials, task_ref="digits_mlp", generated_at="now", version="0.1.0")
    assert "2 files kept (1.2 MB): model.pt, tree.json" in page
    assert "2 files deleted by --keep (1.2 MB)" in page


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (2_500_000_000, "2.5 GB")],
)
def test_sizes(amount: int, text: str) -> None:
    assert size(amount) == text


def closing(trials: list[Trial], width: int = 80, report: Path | None = None, store: str = "") -> str:
    console = Console(file=io.StringIO(), record=True, width=width)
    print_summary(console, make_study(), trials, task_ref="digits_mlp", report_path=report, store_url=store)
    return console.export_text()


def test_the_closing_summary() -> None:
    text = closing(make_trials(), report=Path("runs/report.html"))
    for said in (
        "val_accuracy rose from 0.951 (trial 1) to 0.9733 (trial 8), better by 0.0223.",
        "The target of 0.975 was missed by 0.0017.",
        "0.003 *",
        "test_accuracy 0.9613",
        "lr: 0.01 -> 0.003  trial 2 from 1, by agents  0.9622 (+0.0112)",
        "agents 8, expert 1, start 1",
        "2 attempts rejected before training, 1 answer asked again",
        "3 of 5 outcomes (60 %)",
        "out of memory: trial 10",
        "tcs-hpt show digits_mlp-demo",
        "runs/report.html",
        "[bold red]not markup[/]",
    ):
        assert said in text, said


@pytest.mark.parametrize("width", [80, 120])
def test_only_what_is_to_be_copied_is_longer_than_the_terminal(width: int) -> None:
    long = [line for line in closing(make_trials(), width).splitlines() if cell_len(line) > width]
    assert len(long) == 1
    assert long[0].endswith("--fix patience=10")
    assert long[0].startswith("  tcs-hpt tune digits_mlp --method expert")


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        ([], "No trial has run yet."),
        ([make_trial(n, failure="crashed") for n in (1, 2)], "No trial finished: 2 trials without a score."),
        ([make_trial(1, 0.9, source="start"), make_trial(2, 0.8)], "No trial beat the start"),
        ([make_trial(1, failure="timeout"), make_trial(2, 0.8, source="tpe")], "Trial 1 has no score"),
    ],
)
def test_the_closing_summary_is_honest(trials: list[Trial], said: str) -> None:
    text = closing(trials, store="sqlite:///my.db")
    assert said in text
    assert "may be chance" not in text
    assert "better by" not in text
    assert "tcs-hpt report digits_mlp-demo --store sqlite:///my.db" in text
