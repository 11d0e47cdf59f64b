"""A graph convolutional network learns the topics of 2,708 papers from 140 labels and who cites whom.

Run by hand, it trains with the defaults of `task.toml`: python train.py
"""

import hashlib
import math
import os
import socket
import sys
import time
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch at import; more are slower on so small a graph
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it a GPU does not repeat its results

import platformdirs

import tcs_hpt

try:
    import torch
    import torch.nn.functional as F
    from torch_geometric.datasets import Planetoid
    from torch_geometric.io import read_planetoid_data
    from torch_geometric.nn import GCNConv
    from torch_geometric.transforms import NormalizeFeatures
except ModuleNotFoundError as error:
    sys.exit(f"gcn_cora needs torch and torch-geometric ({error}): pip install 'tcs-hpt[graph]'")

RAW_FILES = {  # and their SHA-256
    "ind.cora.x": "23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab",
    "ind.cora.tx": "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
    "ind.cora.allx": "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
    "ind.cora.y": "94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
    "ind.cora.ty": "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
    "ind.cora.ally": "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
    "ind.cora.graph": "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
    "ind.cora.test.index": "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
}
CACHE = Path(platformdirs.user_cache_dir("tcs-hpt"), "data", "cora", "raw")


def find_raw(data_dir):
    """The folder with Cora's files: in the data folder, else in the cache, else fetched into the cache."""
    places = [data_dir / "cora" / "raw", data_dir / "Cora" / "raw"] if data_dir else []
    for folder in [*places, CACHE]:
        if all((folder / name).is_file() for name in RAW_FILES):
            return folder
    try:
        socket.setdefaulttimeout(30)
        CACHE.mkdir(parents=True, exist_ok=True)
        for name, digest in RAW_FILES.items():
            torch.hub.download_url_to_file(f"{Planetoid.url}/{name}", str(CACHE / name), digest, False)
    except (OSError, RuntimeError) as error:  # no network, or another file than expected
        files = f"{', '.join(RAW_FILES)} of {Planetoid.url} into {places[0] if places else CACHE}"
        sys.exit(f"Cora is not here and cannot be fetched ({error}): put {files}")
    return CACHE


def load(data_dir, normalize_features):
    """The graph, with the public split: 140 papers to train on, 500 to validate, 1,000 to test."""
    folder = find_raw(data_dir)
    for name, digest in RAW_FILES.items():  # before they are read: a pickle can run code
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            sys.exit(f"{folder / name} is not Cora's (its SHA-256 is not {digest}): remove or replace it")
    graph = read_planetoid_data(str(folder), "cora")
    graph = NormalizeFeatures()(graph) if normalize_features else graph
    graph.x = graph.x.to_sparse().coalesce()
    return graph


def drop(x, p, training):
    """Dropout; for the zeros of a sparse `x`, which are 99 in 100, no random numbers are drawn."""
    if not x.is_sparse:
        return F.dropout(x, p, training)
    values = F.dropout(x.values(), p, training)
    return torch.sparse_coo_tensor(x.indices(), values, x.shape, is_coalesced=True, check_invariants=False)


class GCN(torch.nn.Module):
    """Graph convolutions, dropout before each. A single one has no use for hidden_size and activation."""

    def __init__(self, features, classes, params):
        super().__init__()
        sizes = [features, *[params.get("hidden_size")] * (params["layers"] - 1), classes]
        self.convs = torch.nn.ModuleList(GCNConv(i, o, cached=True) for i, o in pairwise(sizes))
        self.activation = getattr(F, params.get("activation", "relu"))
        self.dropout = params["dropout"]

    def forward(self, x, edge_index):
        """A score for each paper and topic."""
        for number, conv in enumerate(self.convs):
            x = x if number == 0 else self.activation(x)
            x = conv(drop(x, self.dropout, self.training), edge_index)
        return x


def train_one_epoch(model, optimizer, graph):
    """One update, from all labelled papers."""
    model.train()
    optimizer.zero_grad()
    mask = graph.train_mask
    F.cross_entropy(model(graph.x, graph.edge_index)[mask], graph.y[mask]).backward()
    optimizer.step()


@torch.no_grad()
def evaluate(model, graph):
    """Cross-entropy and accuracy on the train and validation papers; and the accuracy on the test papers."""
    model.eval()
    scores = model(graph.x, graph.edge_index)
    right = (scores.argmax(dim=1) == graph.y).double()
    found = {}
    for part, mask in ("train", graph.train_mask), ("val", graph.val_mask):
        found[f"{part}_loss"] = F.cross_entropy(scores[mask], graph.y[mask]).item()
        found[f"{part}_accuracy"] = right[mask].mean().item()
    return found, right[graph.test_mask].mean().item()


def main():
    trial = tcs_hpt.current_trial()
    params = trial.params
    torch.manual_seed(trial.seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    graph = load(trial.data_dir, params["normalize_features"]).to(device)
    model = GCN(graph.num_features, 7, params).to(device)
    make_optimizer = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[params["optimizer"]]
    optimizer = make_optimizer(model.parameters(), lr=params["lr"], weight_decay=params["weight_decay"])
    best = {"val_accuracy": -1.0}
    for epoch in range(1, params["epochs"] + 1):
        start = time.perf_counter()
        train_one_epoch(model, optimizer, graph)
        found, test_accuracy = evaluate(model, graph)
        trial.report(epoch=epoch, **found, lr=params["lr"], seconds=time.perf_counter() - start)
        if not math.isfinite(found["train_loss"] + found["val_loss"]):
            best = {"val_accuracy": math.nan}  # diverged, whatever came before
            break
        if found["val_accuracy"] > best["val_accuracy"]:
            best = {"val_accuracy": found["val_accuracy"], "val_loss": found["val_loss"]}
            best |= {"test_accuracy": test_accuracy, "best_epoch": epoch}
        if epoch - best["best_epoch"] >= params["patience"] or trial.should_stop():
            break
    trial.finish(**best)


if __name__ == "__main__":
    main()
