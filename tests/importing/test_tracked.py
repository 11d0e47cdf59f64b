"""Metrics that go to an experiment tracker."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.importing import measured
from tcs_hpt.importing.metric_found import Place
from tests.importing.scripts import script

SUMMARY = """\
wandb: W&B syncing is set to `offline` in this directory. Run `wandb online` or set WANDB_MODE=online to enable cloud syncing.
wandb: Run history:
wandb:    epoch ▁▅█
wandb:  val/acc ▁▅█
wandb:
wandb: Run summary:
wandb:    epoch 2
wandb:  val/acc 0.78571
wandb:
wandb: You can sync this run to the cloud by running:
"""


@pytest.mark.parametrize(
    "code",
    [
        "import wandb\nwandb.init()\nwandb.log({'epoch': 1, 'val/acc': acc})\n",
        "import wandb\nrun = wandb.init()\nm = {'val/acc': acc}\nrun.log(m)\n",
        "import wandb\nwith wandb.init() as run:\n    run.log(dict(**{'val/acc': acc}))\n    run.log({'val/acc': acc})\n",
        "import wandb\nwandb.init()\nwandb.run.summary['val/acc'] = acc\n",
    ],
)
def test_the_summary_of_wandb_is_read(code: str, tmp_path: Path) -> None:
    made = script(tmp_path, code)
    found = measured.choose(measured.gather(made), made, "", None)
    assert (found.metric.name, found.metric.place) == ("val_acc", Place("stderr", "pattern"))
    lines = [m for line in SUMMARY.splitlines() if (m := re.search(found.metric.pattern, line))]
    assert [m["val_acc"] for m in lines] == ["0.78571"]
    assert any("WANDB_MODE" in doubt for doubt in found.doubts)


def test_what_is_printed_as_well_goes_first(tmp_path: Path) -> None:
    code = "import wandb\nwandb.init()\nwandb.log({'val_acc': acc})\nprint(f'val_acc {acc:.3f}')\n"
    made = script(tmp_path, code)
    assert measured.choose(measured.gather(made), made, "", None).metric.place.source == "stdout"


def test_logs_of_others_are_not_wandb_s(tmp_path: Path) -> None:
    made = script(tmp_path, "import wandb\nself.log({'val_acc': acc})\nmath.log({'val_loss': 1})\n")
    assert measured.gather(made) == ()


@pytest.mark.parametrize(
    ("code", "tracker"),
    [
        ("import mlflow\nmlflow.log_metric('val_acc', acc, step=1)\n", "MLflow"),
        ("import mlflow\nmlflow.log_metrics({'val_acc': acc})\n", "MLflow"),
        (
            "from torch.utils.tensorboard import SummaryWriter\nw.add_scalar('val_acc', acc, 1)\n",
            "TensorBoard",
        ),
    ],
)
def test_what_cannot_be_read_is_said_with_what_to_do(code: str, tracker: str, tmp_path: Path) -> None:
    made = script(tmp_path, code)
    with pytest.raises(UserError, match=f"sends val_acc to {tracker} alone") as caught:
        measured.choose(measured.gather(made), made, "", None)
    assert 'print("val_acc", value)' in str(caught.value.hint)
