"""Which metric is tuned on, and where it is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.importing import goals, measured
from tcs_hpt.importing.measured import Measured
from tcs_hpt.importing.metric_found import Place
from tests.importing.scripts import script


def chosen(folder: Path, text: str, metric: str = "", **files: str) -> Measured:
    made = script(folder, text, **files)
    return measured.choose(measured.gather(made), made, metric, None)


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        *((n, "minimize") for n in ("val_loss", "rmse", "MAE", "eval/perplexity", "logloss", "word_error", "test_mse")),
        *((n, "maximize") for n in ("val_acc", "f1_macro", "ROC-AUC", "r2", "rougeL", "eval_bleu", "neg_mse", "NDCG@10")),
        *((n, None) for n in ("lr", "epoch", "loss_time", "accelerator", "grad_norm", "factor", "loader", "train_size")),
    ],
)  # fmt: skip
def test_direction_by_name(name: str, direction: str | None) -> None:
    assert goals.measure(name) == direction


@pytest.mark.parametrize(
    ("lines", "metric"),
    [
        (["train_loss", "val_loss", "val_acc"], "val_acc"),
        (["test_acc", "val_loss"], "val_loss"),
        (["train_acc", "acc"], "acc"),
        (["test_acc", "train_loss"], "train_loss"),
    ],
)
def test_validation_goes_before_the_rest(lines: list[str], metric: str, tmp_path: Path) -> None:
    code = "for epoch in range(3):\n" + "\n".join(
        f"    print(f'epoch {{epoch}} {n} {{x:.3f}}')" for n in lines
    )
    assert chosen(tmp_path, code).metric.name == metric


def test_test_data_only_as_a_last_resort_and_under_another_name(tmp_path: Path) -> None:
    found = chosen(tmp_path, "print(f'Test accuracy: {x:.3f}')")
    assert found.metric.name == "accuracy"
    assert "(?P<accuracy>" in found.metric.pattern
    assert "test data" in found.doubts[0]
    table = chosen(
        tmp_path, "import json\nwith open('r.json', 'w') as f:\n    json.dump({'test_f1': x}, f)\n"
    )
    assert (table.metric.name, table.metric.written_name) == ("f1", "test_f1")


def test_what_is_renamed_keeps_what_stands_in_its_line(tmp_path: Path) -> None:
    found = chosen(
        tmp_path, "for epoch in e:\n    print(f'epoch {epoch} test_loss {x:.3f} test_acc {y:.3f}')"
    )
    assert found.metric.name == "acc"
    assert [m.name for m in found.others] == ["test_loss"]
    assert {m.pattern for m in found.others} == {found.metric.pattern}


def test_steps_beside_epochs_are_not_mixed(tmp_path: Path) -> None:
    found = chosen(
        tmp_path,
        "for epoch in e:\n    print(f'step {i} train_loss {x:.3f}')\n    print(f'epoch {epoch} val_acc {y:.3f}')",
    )
    assert found.metric.name == "val_acc"
    assert found.others == ()


def test_a_headline_counts_the_epochs_of_lines_without_a_number(tmp_path: Path) -> None:
    found = chosen(
        tmp_path,
        """
        for epoch in range(3):
            print(f"Epoch {epoch + 1}/{n}")
            print(f"  train loss: {x:.3f}")
            print(f"  val acc: {y:.3f}")
        """,
    )
    match = re.search(found.headline, "Epoch 2/10")
    assert match is not None
    assert match["epoch"] == "2"
    assert (found.metric.name, [m.name for m in found.others]) == ("val_acc", ["train_loss"])
    assert chosen(tmp_path, "for epoch in e:\n    print(f'epoch {epoch} val_acc {y:.3f}')").headline == ""


def test_curves_come_along_but_batches_and_the_final_line_do_not(tmp_path: Path) -> None:
    found = chosen(
        tmp_path,
        """
        for epoch in range(3):
            for batch in loader:
                print(f"loss {loss:.3f}")
            print(f"epoch {epoch} train_loss {loss:.3f}")
            print(f"epoch {epoch} val_acc {acc:.3f} test_acc {t:.3f}")
        print(f"best val accuracy {best:.3f}")
        """,
    )
    assert found.metric.name == "val_acc"
    assert {m.name for m in found.others} == {"train_loss", "test_acc"}
    assert found.score == "best"


TRAINER = """
from transformers import Trainer, TrainingArguments
import evaluate
metric = evaluate.load("glue")
def compute(p):
    return {"accuracy": 1.0, "n": 3, "matthews": 1}
Trainer(model=m, args=args, compute_metrics=compute)
"""
TRAINER_LINE = "{'eval_loss': '0.69', 'eval_accuracy': '0.875', 'eval_runtime': '0.1', 'epoch': '2'}"
OLD_TRAINER_LINE = "{'eval_loss': 0.69, 'eval_accuracy': 0.875, 'eval_runtime': 0.1, 'epoch': 2.0}"
XGB = """
import xgboost as xgb
watch = [(dtrain, "train"), (dval, "val")]
params = {"objective": "reg:squarederror"}
xgb.train(params, dtrain, evals=watch)
"""
XGB_FIT = (
    "import xgboost\nm = xgboost.XGBClassifier(eval_metric='auc')\nm.fit(x, y, eval_set=[(a, b), (c, d)])\n"
)
LGB = """
import lightgbm as lgb
params = {"metric": "auc"}
lgb.train(params, d, valid_sets=[v], valid_names=["val"], callbacks=[lgb.log_evaluation(10)])
"""
KERAS = """
from keras import layers
model.compile(optimizer="adam", loss="mse", metrics=["accuracy"])
model.fit(x, y, validation_split=0.2, epochs=5)
"""
KERAS_LINE = "20/20 - 0s - 5ms/step - accuracy: 0.81 - loss: 0.40 - val_accuracy: 0.79 - val_loss: 0.45"
REPORT = """
from sklearn.metrics import classification_report
print(classification_report(y_val, model.predict(X_val)))
"""
REPORT_LINE = "    accuracy                           0.97       360"
BAR = """
import lightning as L
class M(L.LightningModule):
    def validation_step(self, b, i):
        self.log("val_acc", acc, prog_bar=True)
"""
BAR_LINE = "Epoch 3: 100%|##########| 10/10 [00:00<00:00, 90.1it/s, v_num=0, val_acc=0.930]"
TABLE = BAR.replace(", prog_bar=True", "") + "trainer.validate(M(), loader)\n"


@pytest.mark.parametrize(
    ("code", "line", "groups"),
    [
        (TRAINER, TRAINER_LINE, {"eval_accuracy": "0.875", "epoch": "2"}),
        (TRAINER, OLD_TRAINER_LINE, {"eval_accuracy": "0.875", "epoch": "2"}),
        (XGB, "[10]\ttrain-rmse:0.41\tval-rmse:0.52", {"val_rmse": "0.52", "epoch": "10"}),
        (XGB_FIT, "[7]\tvalidation_0-auc:0.9\tvalidation_1-auc:0.8", {"validation_1_auc": "0.8", "epoch": "7"}),
        (LGB, "[10]\ttraining's auc: 0.99\tval's auc: 0.83", {"val_auc": "0.83", "epoch": "10"}),
        (KERAS, KERAS_LINE, {"val_accuracy": "0.79"}),
        (REPORT, REPORT_LINE, {"val_accuracy": "0.97"}),
        (BAR, BAR_LINE, {"val_acc": "0.930", "epoch": "3"}),
        (TABLE, "│          val_acc          │    0.8866666555404663     │", {"val_acc": "0.8866666555404663"}),
        (TABLE, "         val_acc            0.8866666555404663", {"val_acc": "0.8866666555404663"}),
    ],
)  # fmt: skip
def test_what_libraries_print(code: str, line: str, groups: dict[str, str], tmp_path: Path) -> None:
    found = chosen(tmp_path, code)
    match = re.search(found.metric.pattern, line)
    assert match is not None
    assert match.groupdict() == groups
    assert found.metric.place == Place("stdout", "pattern")


def test_a_silent_booster_prints_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no metric"):
        chosen(tmp_path, XGB.replace("evals=watch", "evals=watch, verbose_eval=False"))


FILES = {
    "json lines of the output": (
        "import json\nfor epoch in e:\n    print(json.dumps({'epoch': epoch, 'val_loss': x}))\n",
        ("stdout", "jsonl", "val_loss", ""),
    ),
    "json lines of a file": (
        "import json\nwith open('log.jsonl', 'a') as f:\n    f.write(json.dumps({'epoch': 1, 'eval/acc': x}) + '\\n')\n",
        ("log.jsonl", "jsonl", "eval_acc", "eval/acc"),
    ),
    "a json file of a variable": (
        "import json\nOUT = 'results.json'\nr = {'model': 'x', 'metrics': {'f1': 1.0}}\nr['note'] = 'x'\nwith open(OUT, 'w') as f:\n    json.dump(r, f)\n",
        ("results.json", "json", "metrics_f1", "metrics.f1"),
    ),
    "csv writer": (
        "import csv\nwith open('log.csv', 'w') as f:\n    w = csv.writer(f)\n    w.writerow(['epoch', 'train_loss', 'val_loss'])\n    w.writerow([1, a, b])\n",
        ("log.csv", "csv", "val_loss", ""),
    ),
    "csv of dictionaries": (
        "import csv\nf = open('log.csv', 'w')\nw = csv.DictWriter(f, fieldnames=['epoch', 'val_rmse'])\n",
        ("log.csv", "csv", "val_rmse", ""),
    ),
    "a header by hand": (
        "f = open('log.csv', 'w')\nf.write('epoch,val_loss\\n')\nf.write(f'{e},{v}\\n')\n",
        ("log.csv", "csv", "val_loss", ""),
    ),
    "the csv logger of Lightning": (
        "import lightning as L\nfrom lightning.pytorch.loggers import CSVLogger\nclass M(L.LightningModule):\n"
        "    def validation_step(self, b, i):\n        self.log('val/acc', x)\nL.Trainer(logger=CSVLogger('logs'))\n",
        ("logs/lightning_logs/version_*/metrics.csv", "csv", "val_acc", "val/acc"),
    ),
    "reports to this package": (
        "import tcs_hpt\nt = tcs_hpt.current_trial()\nt.report(epoch=1, val_accuracy=x)\n",
        ("", "report", "val_accuracy", ""),
    ),
}


@pytest.mark.parametrize("style", FILES)
def test_what_is_written(style: str, tmp_path: Path) -> None:
    code, expected = FILES[style]
    metric = chosen(tmp_path, code).metric
    assert (metric.place.source, metric.place.format, metric.name, metric.written_name) == expected


def test_a_metric_that_is_named_counts_even_if_no_line_of_it_was_found(tmp_path: Path) -> None:
    code = "print(f'val_loss {x:.3f} val_acc {y:.3f}')"
    assert chosen(tmp_path, code, "val_loss").metric.name == "val_loss"
    guessed = chosen(tmp_path, code, "val_f1")
    assert re.search(guessed.metric.pattern, "... val_f1: 0.5 ...")
    assert "guess" in guessed.doubts[0]
    with pytest.raises(UserError, match="should go up or down"):
        chosen(tmp_path, code, "wobble")
