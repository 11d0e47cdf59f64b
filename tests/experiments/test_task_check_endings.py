"""How the runs of a check end: crashes, missing things, limits and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tcs_hpt.execution.processes import MARK
from tcs_hpt.experiments.task_check import CheckOptions
from tests.execution.fake_scripts import runs
from tests.experiments.checking import GOOD, HEAD, MANIFEST, check, found, my_task, statuses


def test_a_crash_shows_the_end_of_its_standard_error(tmp_path: Path) -> None:
    done = check(tmp_path, HEAD + "print('loading', file=sys.stderr)\nraise ValueError('bad shape')")
    run = done.checks[-1]
    assert (run.name, run.status) == ("run", "failed")
    assert run.text == "it crashed: ValueError: bad shape"
    assert run.details[0] == "loading"
    assert run.details[-1] == "ValueError: bad shape"


def test_a_missing_data_set_is_told_in_the_words_of_the_script(tmp_path: Path) -> None:
    run = check(tmp_path, HEAD + "sys.exit('Cora is not here: put cora.npz into /data')").checks[-1]
    assert run.text == "the script says: Cora is not here: put cora.npz into /data"
    assert (run.status, run.hint, run.details) == ("failed", "", ())


def test_a_missing_library_names_the_interpreter(tmp_path: Path) -> None:
    run = check(tmp_path, "import no_such_library").checks[-1]
    assert run.hint.startswith("Install no_such_library for the interpreter")


def test_a_missing_interpreter_is_a_failed_run(tmp_path: Path) -> None:
    run = check(tmp_path, GOOD, CheckOptions(python="/no/such/python")).checks[-1]
    assert (run.name, run.status) == ("run", "failed")
    assert "/no/such/python" in run.text
    assert "--python" in run.hint


def test_refused_defaults_are_told(tmp_path: Path) -> None:
    run = check(tmp_path, HEAD + "trial.refuse('lr and epochs do not fit')").checks[-1]
    assert run.text == "it refuses its own defaults: lr and epochs do not fit"


def test_a_score_and_then_a_bad_end_is_a_warning(tmp_path: Path) -> None:
    done = check(tmp_path, GOOD + "print('late', file=sys.stderr)\nsys.exit(3)")
    assert done.ok
    assert found(done, "run").status == "warning"
    assert "exit code 3" in found(done, "run").text
    assert found(done, "run").details == ("late",)


def test_a_script_that_goes_on_after_its_score_is_told(tmp_path: Path) -> None:
    done = check(tmp_path, GOOD + "time.sleep(60)", CheckOptions(once=True, trial_seconds=3.0))
    assert done.ok
    assert "went on after it had reported its score" in found(done, "run").text


def test_a_hang_ends_at_the_limit_and_nothing_is_left(tmp_path: Path) -> None:
    script = HEAD + (
        "import subprocess\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "trial.report(epoch=1, val_accuracy=0.5)\ntime.sleep(60)"
    )
    done = check(tmp_path, script, CheckOptions(trial_seconds=3.0))
    assert [(c.name, c.status) for c in done.checks[3:]] == [("run", "failed"), ("stopping", "ok")]
    assert "still ran when its 3 s were up after 1 epoch." in found(done, "run").text
    assert "--trial-seconds" in found(done, "run").hint
    assert not runs(int((tmp_path / "pid").read_text()))


def test_the_tasks_own_limit_is_named(tmp_path: Path) -> None:
    manifest = MANIFEST.replace("trial_seconds = 100", "trial_seconds = 0.5")
    run = found(check(tmp_path, HEAD + "time.sleep(60)", manifest=manifest), "run")
    assert "`trial_seconds` of this size (0.5)" in run.hint


def test_a_script_that_will_not_end_is_killed_and_told(tmp_path: Path) -> None:
    script = GOOD.replace("for epoch", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nfor epoch").replace(
        "trial.finish",
        "time.sleep(1)\ntrial.finish",
    )
    done = check(tmp_path, script, CheckOptions(grace_seconds=0.3))
    assert statuses(done)["same seed"] == "ok"
    stopping = found(done, "stopping")
    assert stopping.status == "warning"
    assert "had to be killed" in stopping.text


@pytest.mark.parametrize("epochs", [True, False])
def test_it_is_told_to_end_while_it_trains(tmp_path: Path, epochs: bool) -> None:
    note = tmp_path / "notes"
    told = (
        f"def told(*_):\n    open({str(note)!r}, 'a').write('asked')\n    sys.exit(1)\n"
        "signal.signal(signal.SIGTERM, told)\n"
    )
    script = GOOD.replace("random.seed", f"{told}random.seed").replace(
        "trial.finish", "time.sleep(1)\ntrial.finish"
    )
    script = script if epochs else script.replace("trial.report(", "dict(")
    assert found(check(tmp_path, script, CheckOptions()), "stopping").status == "ok"
    assert not epochs or note.read_text() == "asked"


def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    folder = my_task(tmp_path, HEAD + "trial.report(epoch=1, val_accuracy=1)\ntime.sleep(60)")
    command = [sys.executable, "-c", "from tcs_hpt.cli import main; main()", "tasks", "check", str(folder)]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment)
    deadline = time.monotonic() + 60
    while not (started := list(tmp_path.glob("tcs-hpt-check-*/*/metrics.jsonl"))):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert list(tmp_path.glob("tcs-hpt-check-*")) == []
    place = str(started[0].parent)
    assert not [p.pid for p in psutil.process_iter() if _environment(p).get(MARK) == place]


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}
