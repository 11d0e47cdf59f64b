from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tcs_hpt import data
from tcs_hpt.catalog import load_task
from tcs_hpt.execution import Job
from tcs_hpt.execution.folder import prepare
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Scalar
from tcs_hpt.testing.tasks import TaskContract, prepared_data

TASK = load_task("deepfm_movielens")
SPEC = TASK.spec.with_profile("smoke")
SPACE = SearchSpace(SPEC.params)

Train = Callable[..., tuple[list[dict[str, Any]], dict[str, Any]]]


class TestDeepfmMovielens(TaskContract):
    task = "deepfm_movielens"
    test_score = "test_auc"
    needs = "movielens"


@pytest.fixture
def ratings() -> Path:
    return prepared_data("movielens") / "movielens" / "ml-100k"


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    """The task's script as a module."""
    spec = importlib.util.spec_from_file_location("deepfm_movielens_train", TASK.folder / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        spec.loader.exec_module(module)
        yield module
    module.torch.use_deterministic_algorithms(False)
    module.torch.set_flush_denormal(False)  # hypothesis refuses to draw floats in a process that flushes


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("TCS_HPT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("TCS_HPT_DATA_DIR", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def train(script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Trains in this process, on the ratings made up for tests; what comes back is every epoch, and the result."""

    def train(
        values: dict[str, Scalar],
        *,
        stop: bool = False,
        seed: int = 0,
        folder: Path | None = None,
        **fixed: Scalar,
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        spec = SPEC.model_copy(update={"fixed": {**SPEC.fixed, **fixed}})
        folder = folder or tmp_path / str(len(list(tmp_path.iterdir())))
        prepare(
            Job(1, spec, TASK.folder, folder, {**SPACE.defaults(), **values}, seed, "smoke", None), folder
        )
        if stop:
            (folder / "stop").touch()
        monkeypatch.setenv("TCS_HPT_TRIAL_DIR", str(folder))
        monkeypatch.setattr("tcs_hpt.client._made", {})
        script.main()
        epochs = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return epochs, json.loads((folder / "result.json").read_text())

    return train


def make_model(script: Any, **values: Scalar) -> Any:
    return script.DeepFM([3, 4], 2, {**SPACE.defaults(), **values})


def test_the_ratings_are_read_as_they_are(script: Any, ratings: Path) -> None:
    fields, sizes, genres, liked = script.read(ratings)
    assert fields.shape == (100000, 5)
    assert sizes == [943, 1682, 7, 2, 21]
    assert fields.min(axis=0).tolist() == [0] * 5
    assert (fields.max(axis=0) + 1).tolist() == sizes
    assert liked.sum() == 34174 + 21201
    # User 196 (49, M, writer) gave film 242, Kolya, a comedy, 3 stars; user 1 is 24, M, technician.
    assert fields[0].tolist() == [195, 241, 4, 0, 20]
    assert (np.flatnonzero(genres[0]).tolist(), bool(liked[0])) == ([5], False)
    assert set(map(tuple, fields[fields[:, 0] == 0][:, 2:].tolist())) == {(1, 0, 19)}
    assert genres.shape == (100000, 19)
    assert genres.sum(axis=1).min() == 1


def test_the_split_is_fixed_and_every_rating_is_in_one_part(script: Any, ratings: Path) -> None:
    parts, _ = script.load(ratings.parent.parent, 100000, False)
    assert [len(liked) for _, _, liked in parts] == [80000, 10000, 10000]
    pairs = [set((fields[:, 0] * 1682 + fields[:, 1]).tolist()) for fields, _, _ in parts]
    assert len(set.union(*pairs)) == 100000  # no user rated a film twice
    for _, shares, liked in parts:
        assert liked.mean().item() == pytest.approx(0.554, abs=0.01)
        assert (shares.sum(dim=1) - 1).abs().max() < 1e-5
    script.torch.manual_seed(5)
    again, _ = script.load(ratings.parent.parent, 100000, False)
    assert all(
        a.equal(b) for one, two in zip(parts, again, strict=True) for a, b in zip(one, two, strict=True)
    )
    part, _ = script.load(ratings.parent.parent, 1000, False)
    assert [len(liked) for _, _, liked in part] == [800, 100, 100]


def test_the_model_is_what_one_computes_by_hand(script: Any) -> None:
    torch = script.torch
    model = make_model(script, embed_size=8, mlp_layers=1, mlp_hidden=32).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.bias.fill_(0.25)
        # Rows: three values of the first field, four of the second, two genres.
        model.weights.weight[:, 0] = torch.tensor([1.0, 2, 3, 10, 20, 30, 40, 100, 300])
        model.factors.weight[:, 0] = torch.tensor([1.0, 2, 3, 1, 2, 3, 4, 1, 3])
        model.factors.weight[:, 1] = torch.tensor([0.0, 1, 0, 0, 0, 0, 5, 2, 2])
        fields, shares = torch.tensor([[1, 3], [0, 0]]), torch.tensor([[0.5, 0.5], [0.0, 1.0]])
        # First rating: linear 2 + 40 + (100 + 300) / 2; vectors (2, 1), (4, 5) and the mean of the genres, (2, 2):
        # 2*4 + 1*5 + 2*2 + 1*2 + 4*2 + 5*2 = 37. Second: 1 + 10 + 300; (1, 0), (1, 0), (3, 2): 1 + 3 + 3 = 7.
        assert model(fields, shares).tolist() == pytest.approx([0.25 + 242 + 37, 0.25 + 311 + 7])
        # The network sees all vectors side by side: unit 0 adds the first numbers of the three fields, 2 + 4 + 2
        # and 1 + 1 + 3; unit 1 is negative and is cut to 0.
        first, last = model.deep[0], model.deep[-1]
        first.weight[0, [0, 8, 16]] = 1
        first.bias[1] = -1
        last.weight[0, :2] = torch.tensor([3.0, 5.0])
        last.bias.fill_(0.5)
        assert model(fields, shares).tolist() == pytest.approx([279.25 + 3 * 8 + 0.5, 318.25 + 3 * 5 + 0.5])


def test_each_part_learns(script: Any) -> None:
    torch = script.torch
    torch.manual_seed(0)
    model = make_model(script, dropout=0.0)
    model(torch.tensor([[1, 3], [0, 2]]), torch.tensor([[0.5, 0.5], [0.0, 1.0]])).sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad.abs().sum() > 0, name
    used = model.factors.weight.grad.abs().sum(dim=1) > 0
    assert used.tolist() == [True, True, False, False, False, True, True, True, True]


@pytest.mark.parametrize("layers", [1, 4])
def test_sizes_and_dropout_make_the_network(script: Any, layers: int) -> None:
    model = make_model(script, embed_size=16, mlp_layers=layers, mlp_hidden=40, dropout=0.35)
    linear = [(m.in_features, m.out_features) for m in model.deep if isinstance(m, script.torch.nn.Linear)]
    assert linear == [(3 * 16, 40), *[(40, 40)] * (layers - 1), (40, 1)]
    assert [m.p for m in model.deep if isinstance(m, script.torch.nn.Dropout)] == [0.35] * layers
    assert tuple(model.factors.weight.shape) == (9, 16)
    assert tuple(model.weights.weight.shape) == (9, 1)


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("sgd", "SGD")])
def test_the_optimizer_gets_its_values_and_spares_the_biases(script: Any, name: str, kind: str) -> None:
    model = make_model(script, mlp_layers=2)
    values = {**SPACE.defaults(), "optimizer": name, "lr": 0.02, "reg_weight": 0.03}
    optimizer = script.make_optimizer(model, values)
    assert type(optimizer) is getattr(script.torch.optim, kind)
    bound, free = optimizer.param_groups
    assert (bound["lr"], bound["weight_decay"], bound.get("momentum", 0)) == (0.02, 0.03, 0)
    assert (free["lr"], free["weight_decay"]) == (0.02, 0)
    assert [p.dim() for p in bound["params"]] == [2] * 5  # two tables and three layers
    assert [p.dim() for p in free["params"]] == [0, 1, 1, 1]


@pytest.mark.parametrize(("batch_size", "updates"), [(256, 4), (1024, 1)])
def test_an_update_sees_a_batch(script: Any, batch_size: int, updates: int) -> None:
    torch = script.torch
    model, seen = make_model(script), []
    model.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    part = (torch.zeros(1000, 2, dtype=torch.long), torch.ones(1000, 2) / 2, torch.arange(1000) % 2.0)
    script.train_one_epoch(model, script.make_optimizer(model, SPACE.defaults()), part, batch_size)
    assert len(seen) == updates
    assert (sum(seen), max(seen)) == (1000, min(batch_size, 1000))


def test_scores_are_those_of_the_textbook(script: Any) -> None:
    torch = script.torch
    liked, chances = torch.tensor([1.0, 0.0, 1.0, 0.0]), torch.tensor([0.9, 0.6, 0.4, 0.2])
    found = script.scores("val", torch.logit(chances), liked)
    assert found["val_auc"] == pytest.approx(0.75)  # three of the four pairs are in order
    assert found["val_accuracy"] == pytest.approx(0.5)
    assert found["val_loss"] == pytest.approx(-sum(map(math.log, [0.9, 0.4, 0.4, 0.8])) / 4)
    assert all(math.isnan(v) for v in script.scores("val", torch.full((4,), math.nan), liked).values())


def test_the_result_is_the_best_epoch_and_patience_ends_the_training(train: Train) -> None:
    epochs, result = train({"lr": 0.02, "batch_size": 256}, epochs=40, patience=3)
    best = max(epochs, key=lambda e: e["val_auc"])  # the first of equal ones
    assert result["best_epoch"] == best["epoch"]
    assert all(result[name] == best[name] for name in ("val_auc", "val_loss", "val_accuracy"))
    assert len(epochs) == best["epoch"] + 3 < 40
    assert result["val_auc"] > 0.6
    names = {f"{part}_{metric}" for part in ("train", "val") for metric in ("loss", "auc", "accuracy")}
    assert all(epoch.keys() == names | {"epoch", "lr", "seconds"} for epoch in epochs)
    assert {*result} - {"peak_cuda_mb"} == {"val_auc", "val_loss", "val_accuracy", "test_auc", "best_epoch"}


def test_a_request_to_stop_ends_it_with_a_result(train: Train) -> None:
    epochs, result = train({}, stop=True)
    assert len(epochs) == 1
    assert result["best_epoch"] == 1


def test_a_killed_training_goes_on_from_its_checkpoint(
    script: Any, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, fixed = tmp_path / "trial", {"checkpoint": True, "epochs": 4, "patience": 9}
    timeless = {"epoch", "train_loss", "val_auc", "val_loss", "lr"}
    expected, best = train({"batch_size": 256}, **fixed)

    class Killed(BaseException):
        pass

    original, trained = script.train_one_epoch, []

    def epoch(*args: Any) -> Any:
        trained.append(1)
        if len(trained) == 3:
            raise Killed
        return original(*args)

    monkeypatch.setattr(script, "train_one_epoch", epoch)
    with pytest.raises(Killed):
        train({"batch_size": 256}, folder=folder, **fixed)
    assert (folder / "checkpoint.pt").is_file()
    script.torch.manual_seed(99)
    epochs, result = train({"batch_size": 256}, folder=folder, **fixed)
    assert len(trained) == 3 + 2  # the third and the fourth; the first two are only reported again
    assert [{k: e[k] for k in timeless} for e in epochs] == [{k: e[k] for k in timeless} for e in expected]
    assert result == best
    assert {p.name for p in folder.iterdir()} == {"config.json", "metrics.jsonl", "result.json"}


def test_the_checkpoint_of_another_configuration_is_not_used(
    script: Any, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script.Checkpoint, "remove", lambda self: None)
    first = train({}, folder=tmp_path / "trial", checkpoint=True)
    other = train({"lr": 0.01}, folder=tmp_path / "trial", checkpoint=True)
    assert other[1] == train({"lr": 0.01})[1] != first[1]


def test_divergence_is_a_result_and_not_a_crash(train: Train) -> None:
    # Inside the declared ranges the training stays finite; a step size far outside them does not.
    epochs, result = train({"lr": 1e30})
    assert epochs[-1]["val_auc"] is None  # how the engine is told of a number that is not finite
    assert len(epochs) < 3
    assert result["val_auc"] is None
    assert "test_auc" not in result


@pytest.mark.parametrize("place", ["movielens/ml-100k", "ml-100k", "ml-100k/ml-100k", "."])
def test_the_layout_of_the_archive_is_found(script: Any, tmp_path: Path, place: str) -> None:
    folder = tmp_path / place
    folder.mkdir(parents=True, exist_ok=True)
    for name, line in (
        ("u.data", "1\t1\t{}\t0"),
        ("u.user", "1|{}|M|writer|1"),
        ("u.item", "1|Caf\xe9||||" + "|".join("1" * 19)),
    ):
        lines = [line.format(number) for number in (4, 5)] if name == "u.data" else [line.format(30)]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="latin-1")
    parts, sizes = script.load(tmp_path, 100000, False)
    assert sizes == [1, 1, 7, 2, 1]
    assert [len(liked) for _, _, liked in parts] == [2, 0, 0]


def test_what_is_missing_is_fetched_from_grouplens(
    script: Any, ratings: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def fetch(url: str, sha256: str, *, into: str, unpack: str) -> Path:
        asked.append((url, sha256, into, unpack))
        place = data.cache_folder() / into
        place.mkdir(parents=True)
        (place / "ml-100k").symlink_to(ratings)
        return place

    monkeypatch.setattr(script.data, "fetch", fetch)
    for _ in range(2):
        assert script.load(tmp_path / "mine", 1000, False)[1][0] == 943
    assert asked == [(script.URL, script.SHA256, "movielens", "zip")]


def test_without_data_and_network_one_sentence_says_what_goes_where(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "URL", "http://127.0.0.1:9/ml-100k.zip")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(data.DataUnavailable) as raised:
        script.load(tmp_path / "mine", 1000, False)
    message = str(raised.value)
    assert message.startswith(
        "MovieLens 100K is not here (http://127.0.0.1:9/ml-100k.zip cannot be fetched into "
    )
    assert message.endswith(f"put u.data, u.item, u.user into {tmp_path / 'mine' / 'movielens' / 'ml-100k'}")
    assert "\n" not in message


def test_a_copy_without_data_trains_at_smoke(tmp_path: Path, cache: Path) -> None:
    copy = shutil.copytree(TASK.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, str(copy / "train.py")],
        env={k: v for k, v in os.environ.items() if k != "TCS_HPT_TRIAL_DIR"} | {"TCS_HPT_PROFILE": "smoke"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1].startswith("finished ")
    assert not cache.exists()  # nothing is fetched for it


def test_a_missing_library_is_named_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\")")
    done = subprocess.run(
        [sys.executable, str(TASK.folder / "train.py")],
        env=os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert (
        done.stderr
        == "deepfm_movielens needs torch (No module named 'torch'): pip install 'tcs-hpt[recsys]'\n"
    )
