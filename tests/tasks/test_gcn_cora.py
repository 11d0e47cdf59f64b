from __future__ import annotations

import http.server
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.catalog import load_task
from tcs_hpt.data import DataUnavailable
from tcs_hpt.execution import Job, LocalExecutor
from tcs_hpt.execution.folder import prepare
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Config, Scalar
from tcs_hpt.testing.tasks import prepared_data

# torch_geometric uses what torch 2.13 calls deprecated; a script shows no such warning.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")

TASK = load_task("gcn_cora")
SPACE = SearchSpace(TASK.spec.params)

Train = Callable[..., tuple[list[dict[str, Any]], dict[str, Any]]]


@pytest.fixture
def data() -> Path:
    return prepared_data("cora")


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    """The task's script as a module."""
    spec = importlib.util.spec_from_file_location("gcn_cora_train", TASK.folder / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        spec.loader.exec_module(module)
        yield module
    module.torch.use_deterministic_algorithms(False)


@pytest.fixture
def cache(script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of Cora in an empty cache, and no network."""
    monkeypatch.setenv("TCS_HPT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(script.Planetoid, "url", "http://127.0.0.1:9/data")
    return tmp_path / "cache" / "data" / "cora" / "raw"


@pytest.fixture
def train(script: Any, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Trains in this process; what comes back is every epoch, and the result."""

    def train(
        values: dict[str, Scalar], stop: bool = False, **fixed: Scalar
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        spec = TASK.spec.model_copy(update={"fixed": {**TASK.spec.fixed, **fixed}})
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        prepare(Job(1, spec, TASK.folder, folder, SPACE.completed(values), 0, "", data), folder)
        if stop:
            (folder / "stop").touch()
        monkeypatch.setenv("TCS_HPT_TRIAL_DIR", str(folder))
        script.main()
        epochs = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return epochs, json.loads((folder / "result.json").read_text())

    return train


def test_the_data_is_cora_in_its_public_split(script: Any, data: Path) -> None:
    graph = script.load(data, False, invent=False)
    assert tuple(graph.x.shape) == (2708, 1433)
    assert set(graph.x.values().tolist()) == {1.0}
    assert graph.num_edges == 2 * 5278
    assert graph.y.bincount().tolist() == [351, 217, 418, 818, 426, 298, 180]
    masks = [graph.train_mask, graph.val_mask, graph.test_mask]
    assert [int(mask.sum()) for mask in masks] == [140, 500, 1000]
    assert sum(mask.int() for mask in masks).max() == 1
    assert graph.y[graph.train_mask].bincount().tolist() == [20] * 7


def test_the_words_of_a_paper_sum_to_one_if_asked(script: Any, data: Path) -> None:
    sums = script.load(data, True, invent=False).x.to_dense().sum(dim=1)
    assert (sums - 1).abs().max() < 1e-5


@pytest.mark.parametrize(("layers", "shapes"), [(1, [(3, 7)]), (3, [(3, 16), (16, 16), (16, 7)])])
def test_layers_and_hidden_size_make_the_network(
    script: Any, layers: int, shapes: list[tuple[int, int]]
) -> None:
    model = script.GCN(3, 7, SPACE.completed({"layers": layers}))
    assert [(conv.in_channels, conv.out_channels) for conv in model.convs] == shapes
    assert model.dropout == 0.5


@pytest.mark.parametrize("name", ["relu", "elu", "silu"])
def test_the_activation_is_the_one_named(script: Any, name: str) -> None:
    model = script.GCN(3, 7, SPACE.completed({"activation": name}))
    assert model.activation is getattr(script.F, name)


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("sgd", "SGD")])
def test_the_optimizer_gets_its_values(
    script: Any, train: Train, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    made: list[Any] = []
    original = getattr(script.torch.optim, kind)

    def spy(*args: Any, **options: Any) -> Any:
        made.append(original(*args, **options))
        return made[-1]

    monkeypatch.setattr(script.torch.optim, kind, spy)
    train({"optimizer": name, "lr": 0.02, "weight_decay": 0.03, "epochs": 1})
    group = made[0].param_groups[0]
    assert type(made[0]) is original
    assert (group["lr"], group["weight_decay"], group.get("momentum", 0)) == (0.02, 0.03, 0)
    assert len(group["params"]) == 4  # weight and bias of two layers


def test_dropout_acts_on_sparse_words_as_on_dense_ones(script: Any, data: Path) -> None:
    script.torch.manual_seed(0)
    words = script.load(data, False, invent=False).x
    assert script.drop(words, 0.5, False).to_dense().equal(words.to_dense())
    kept = script.drop(words, 0.25, True).values()
    assert {round(v, 4) for v in kept.unique().tolist()} == {0.0, round(1 / 0.75, 4)}
    assert kept.count_nonzero() / kept.numel() == pytest.approx(0.75, abs=0.01)
    hidden = script.torch.ones(1000, 16)
    assert script.drop(hidden, 0.25, True).count_nonzero() / hidden.numel() == pytest.approx(0.75, abs=0.02)


def test_the_result_is_the_best_epoch_and_patience_ends_the_training(train: Train) -> None:
    epochs, result = train({"lr": 0.05, "hidden_size": 64}, patience=3)
    best = max(epochs, key=lambda e: e["val_accuracy"])  # the first of equal ones
    assert result["best_epoch"] == best["epoch"]
    assert (result["val_accuracy"], result["val_loss"]) == (best["val_accuracy"], best["val_loss"])
    assert len(epochs) == best["epoch"] + 3 < 200
    assert 0.6 < result["val_accuracy"] < 0.9
    assert abs(result["test_accuracy"] - result["val_accuracy"]) < 0.1
    names = {"epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "seconds"}
    assert all(epoch.keys() == names for epoch in epochs)


def test_scaled_words_are_another_training(train: Train) -> None:
    assert train({"epochs": 2})[1] != train({"epochs": 2}, normalize_features=True)[1]


def test_a_request_to_stop_ends_it_with_a_result(train: Train) -> None:
    epochs, result = train({}, stop=True)
    assert len(epochs) == 1
    assert result["best_epoch"] == 1


def test_divergence_is_a_result_and_not_a_crash(data: Path, tmp_path: Path) -> None:
    # Inside the declared ranges the training stays finite; a step size far outside them does not.
    job = Job(1, TASK.spec, TASK.folder, tmp_path / "1", SPACE.completed({"lr": 1e30}), 0, "", data)
    result = LocalExecutor(poll_seconds=0.01).run(job, lambda epoch: None)
    assert result.failure is not None
    assert result.failure.kind == "diverged"
    assert result.epochs[-1].non_finite
    assert result.usage.exit_code == 0


def test_the_layout_of_torch_geometric_is_found_and_nothing_is_written(
    script: Any, data: Path, cache: Path, tmp_path: Path
) -> None:
    shutil.copytree(data / "cora" / "raw", tmp_path / "mine" / "Cora" / "raw")
    before = sorted((tmp_path / "mine").rglob("*"))
    assert script.load(tmp_path / "mine", True, invent=False).num_nodes == 2708
    assert sorted((tmp_path / "mine").rglob("*")) == before
    assert not cache.exists()


def test_another_file_is_refused_before_it_is_read(
    script: Any, data: Path, cache: Path, tmp_path: Path
) -> None:
    raw = tmp_path / "mine" / "cora" / "raw"
    raw.mkdir(parents=True)
    for file in (data / "cora" / "raw").iterdir():
        shutil.copyfile(file, raw / file.name)
    (raw / "ind.cora.graph").write_bytes(b"not a pickle")
    with pytest.raises(DataUnavailable) as refused:
        script.load(tmp_path / "mine", True, invent=False)
    assert str(refused.value).startswith(f"{raw / 'ind.cora.graph'} is not the file expected")


@pytest.mark.parametrize("named", [True, False])
def test_without_data_and_network_one_sentence_says_what_goes_where(
    script: Any, cache: Path, tmp_path: Path, named: bool
) -> None:
    with pytest.raises(DataUnavailable) as refused:
        script.load(tmp_path / "mine" if named else None, True, invent=False)
    message = str(refused.value)
    assert message.startswith("Cora is not here (http://127.0.0.1:9/data/ind.cora.x cannot be fetched into ")
    assert "\n" not in message
    assert all(name in message for name in script.RAW_FILES)
    assert message.endswith(f"into {tmp_path / 'mine' / 'cora' / 'raw' if named else cache}")


@pytest.fixture
def served(
    script: Any, cache: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, list[str]]]:
    """A copy of the files on a server of this machine, and what was asked of it."""
    files, asked = tmp_path / "served", []
    files.mkdir()
    for file in (data / "cora" / "raw").iterdir():
        shutil.copyfile(file, files / file.name)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(files))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(script.Planetoid, "url", f"http://127.0.0.1:{server.server_port}")
        yield files, asked
        server.shutdown()
        thread.join()


def test_what_is_missing_is_fetched_once_into_the_cache(
    script: Any, cache: Path, tmp_path: Path, served: tuple[Path, list[str]]
) -> None:
    (tmp_path / "mine").mkdir()
    for _ in range(2):
        assert script.load(tmp_path / "mine", True, invent=False).num_nodes == 2708
    assert sorted(served[1]) == sorted(f"/{name}" for name in script.RAW_FILES)
    assert {p.name for p in cache.iterdir() if not p.name.startswith(".")} == set(script.RAW_FILES)
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_fetched_file_that_differs_is_not_kept(
    script: Any, cache: Path, served: tuple[Path, list[str]]
) -> None:
    (served[0] / "ind.cora.y").write_bytes(b"an error page")
    with pytest.raises(DataUnavailable, match=r"cannot be fetched into .* does not match the known hash"):
        script.load(None, True, invent=False)
    assert not (cache / "ind.cora.y").exists()


def test_a_graph_is_made_up_at_smoke_alone(script: Any, cache: Path) -> None:
    graph = script.load(None, True, invent=True)
    assert (graph.num_nodes, int(graph.y.max())) == (210, 6)
    assert graph.is_undirected()
    masks = [graph.train_mask, graph.val_mask, graph.test_mask]
    assert sum(mask.int() for mask in masks).tolist() == [1] * 210
    assert not cache.exists()
    assert script.load(None, True, invent=True).edge_index.equal(graph.edge_index)


def test_a_copy_runs_without_data_at_smoke(tmp_path: Path) -> None:
    copy = shutil.copytree(TASK.folder, tmp_path / "copy")
    ours = {k: v for k, v in os.environ.items() if not k.startswith("TCS_HPT_")}
    settings = {"TCS_HPT_PROFILE": "smoke", "TCS_HPT_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, str(copy / "train.py")],
        cwd=tmp_path,
        env=ours | settings,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("finished   val_accuracy ")


@pytest.mark.parametrize("missing", ["torch", "torch_geometric"])
def test_a_missing_library_is_named_with_the_command(tmp_path: Path, missing: str) -> None:
    for name in {"torch", missing}:  # a stand-in for torch keeps this quick
        (tmp_path / name / "nn").mkdir(parents=True)
        (tmp_path / name / "nn" / "functional.py").touch()
        (tmp_path / name / "nn" / "__init__.py").touch()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / missing / "__init__.py").write_text(
        f'raise ModuleNotFoundError("No module named {missing!r}")'
    )
    done = subprocess.run(
        [sys.executable, str(TASK.folder / "train.py")],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"gcn_cora needs torch and torch-geometric (No module named {missing!r}): pip install 'tcs-hpt[graph]'\n"
    )


def test_hidden_size_and_activation_go_with_the_layers() -> None:
    one: Config = SPACE.completed({"layers": 1})
    assert not {"hidden_size", "activation"} & one.keys()
    assert {"hidden_size", "activation"} <= SPACE.changed(one, "layers", 2).keys()
