"""Patterns find, in what the script really prints, the numbers that it prints."""

from __future__ import annotations

import contextlib
import io
import logging
import re
from pathlib import Path

import pytest

from tcs_hpt.importing import printed, printing
from tcs_hpt.importing.metric_found import MetricFound
from tests.importing.scripts import script


class FakeNumpy(float):
    """Shows itself as NumPy's numbers do when nothing formats them."""

    def __str__(self) -> str:
        return f"np.float64({float(self)!r})"


VALUES = {
    "epoch": 3,
    "n": 20,
    "train_loss": 0.41,
    "val_loss": 1.5e-05,
    "val_acc": 0.875,
    "loss": 0.25,
    "acc": 0.5,
    "rmse": -0.5,
    "f1": FakeNumpy(0.75),
    "bad": float("nan"),
    "step": 7,
    "t": 1.25,
    "losses": {"train": 0.1, "val": 0.2},
    "y_test": None,
    "p": None,
    "accuracy_score": lambda y, p: 0.625,
    "w": "\x1b[32m",
}
LINES = {
    "f-string": (
        'print(f"Epoch [{epoch:3d}/{n}] | train loss {train_loss:.4f} | val loss: {val_loss:.2e}, val acc = {val_acc:.1%} ({t:.1f}s)")',
        {"epoch": "3", "train_loss": "0.4100", "val_loss": "1.50e-05", "val_acc": "87.5"},
    ),
    "percent": ('print("epoch %d val_loss %.4f acc %5.2f" % (epoch, loss, acc))', {"epoch": "3", "val_loss": "0.2500", "val_acc": "0.50"}),
    "percent with names": ('print("%(epoch)03d: val_loss=%(loss)g" % {"epoch": epoch, "loss": loss})', {"epoch": "003", "val_loss": "0.25"}),
    "format": ('print("Epoch {:>3d}: validation loss = {:8.5f}".format(epoch, loss))', {"epoch": "3", "validation_loss": "0.25000"}),
    "format with names": ('print("epoch {e} val_f1 {v:.2f}".format(e=epoch, v=float(f1)))', {"epoch": "3", "val_f1": "0.75"}),
    "several arguments": ('print("epoch", epoch, "val_loss", loss, "val_acc", acc)', {"epoch": "3", "val_loss": "0.25", "val_acc": "0.5"}),
    "a wrapped number": ('print("val_f1:", f1)', {"val_f1": "0.75"}),
    "separator": ('print("val_loss", loss, sep="=")', {"val_loss": "0.25"}),
    "concatenation": ('print("Epoch: " + str(epoch) + " - val accuracy " + str(acc))', {"epoch": "3", "val_accuracy": "0.5"}),
    "nothing before the numbers but their names": ('print(f"{epoch:02d}  {train_loss:.4f}  {val_loss:.4f}")', {"epoch": "03", "train_loss": "0.4100", "val_loss": "0.0000"}),
    "slashes": ('print(f"epoch={epoch} lr={t:.2e} train/loss={train_loss:.4f} val/rmse={rmse}")', {"epoch": "3", "train_loss": "0.4100", "val_rmse": "-0.5"}),
    "subscripts": ('print(f"step {step}: train loss {losses[\'train\']:.4f}, val loss {losses[\'val\']:.4f}")', {"epoch": "7", "train_loss": "0.1000", "val_loss": "0.2000"}),
    "the variable tells the data": ('print(f"loss {train_loss:.3f} acc {val_acc:.3f}")', {"train_loss": "0.410", "val_acc": "0.875"}),
    "the arguments tell the data": ('print("Accuracy:", accuracy_score(y_test, p))', {"test_accuracy": "0.625"}),
    "counts are no metric": ("print('\\nTest set: Average loss: {:.4f}, Accuracy: {}/{} ({:.0f}%)\\n'.format(loss, 5, 10, 50.0))", {"test_loss": "0.2500", "test_accuracy": "50"}),
    "a full stop behind": ('print(f"The validation accuracy is {acc:.2f}.")', {"validation_accuracy": "0.50"}),
    "not a number": ('print(f"epoch {epoch} val_loss {bad:.4f}")', {"epoch": "3", "val_loss": "nan"}),
    "a dictionary as Python shows it": ('print({"epoch": epoch, "lr": t, "val_acc": acc, "val_f1": 0.75})', {"epoch": "3", "val_acc": "0.5", "val_f1": "0.75"}),
    "a dictionary by name": ('m = {"val_acc": acc}\nprint("metrics:", m)', {"val_acc": "0.5"}),
    "a sign": ('print(f"val r2 {rmse:+.3f}")', {"val_r2": "-0.500"}),
    "rounded": ('print("RMSE:", round(rmse, 3))', {"rmse": "-0.5"}),
    "colours": ('print("\\x1b[1mval_acc\\x1b[0m", acc)', {"val_acc": "0.5"}),
    "a number as it stands": ("print('val_acc', 0.5)", {"val_acc": "0.5"}),
    "several arguments and a number": ('print("epoch", epoch, "val_acc", acc, "| loss:", 0.25, flush=True)', {"epoch": "3", "val_acc": "0.5", "val_loss": "0.25"}),
    "several arguments without blanks": ('print("val_acc=", acc, ", val_f1=", 0.75, sep="")', {"val_acc": "0.5", "val_f1": "0.75"}),
    "written": ('import sys\nsys.stdout.write(f"val_loss: {loss:.3f}\\n")', {"val_loss": "0.250"}),
}  # fmt: skip


def read(folder: Path, code: str) -> list[MetricFound]:
    return printed.find(printing.lines(script(folder, code)))


def printed_by(code: str) -> list[str]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, dict(VALUES))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("style", LINES)
def test_the_numbers_are_found_in_what_is_printed(style: str, tmp_path: Path) -> None:
    code, expected = LINES[style]
    metrics = read(tmp_path, code)
    assert {m.name for m in metrics} == expected.keys() - {"epoch"}
    (pattern,) = {m.pattern for m in metrics}
    (match,) = [m for line in printed_by(code) if (m := re.search(pattern, line))]
    assert match.groupdict() == expected
    assert all(m.place.source == "stdout" for m in metrics)
    assert all(m.per_epoch == ("epoch" in expected) for m in metrics)


@pytest.mark.parametrize(
    ("setup", "stream"),
    [("logging.basicConfig()", "stderr"), ("logging.basicConfig(stream=sys.stdout)", "stdout")],
)
def test_logged_lines_have_a_prefix_and_their_own_stream(setup: str, stream: str, tmp_path: Path) -> None:
    (metric,) = read(
        tmp_path, f"import logging, sys\n{setup}\nlogging.getLogger().info('epoch %d: val_loss %.3f', 3, x)\n"
    )
    assert metric.place.source == stream
    message = logging.Formatter(logging.BASIC_FORMAT).format(
        logging.LogRecord("root", logging.INFO, "", 0, "epoch %d: val_loss %.3f", (3, 0.5), None)
    )
    found = re.search(metric.pattern, message)
    assert found is not None
    assert found.groupdict() == {"epoch": "3", "val_loss": "0.500"}


def test_a_name_that_is_the_end_of_another_is_not_taken_for_it(tmp_path: Path) -> None:
    metrics = {m.name: m for m in read(tmp_path, "print(f'loss {a:.2f}')\nprint(f'test_loss {b:.2f}')\n")}
    assert re.search(metrics["loss"].pattern, "test_loss 0.50") is None
    assert re.search(metrics["loss"].pattern, "loss 0.50") is not None


def test_batches_and_the_best_are_told_from_epochs(tmp_path: Path) -> None:
    code = """
    for epoch in range(3):
        for i, batch in enumerate(train_loader):
            print(f"epoch {epoch} batch {i} loss {loss:.3f}")
        print(f"epoch {epoch} val_acc {acc:.3f}")
    print(f"best val acc {best:.3f}")
    """
    inner, epoch, best = read(tmp_path, code)
    assert (inner.inner, epoch.inner, best.inner) == (True, False, False)
    assert (epoch.per_epoch, best.per_epoch, best.best) == (True, False, True)


@pytest.mark.parametrize(
    "code",
    [
        "print('done')",
        "print(f'epoch {epoch} took {t:.1f}s')",
        "print(f'learning rate {lr:.5f}')",
        "print(f'{n} parameters, batch size {b}')",
        "print(model)",
        "print()",
        "print(*values)",
        "print(0.5)",
        "print('step', 3, True)",
        "warnings.warn(f'loss {x}')",
        "print(f'val_loss {x}', file=log)",
        "print(json.dumps({'val_loss': x}))",
    ],
)
def test_what_is_no_metric(code: str, tmp_path: Path) -> None:
    assert read(tmp_path, code) == []
