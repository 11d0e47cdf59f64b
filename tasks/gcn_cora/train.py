"""A graph convolutional network learns the topics of 2,708 papers from 140 labels and who cites whom.

Run by hand, it trains with the defaults of `task.toml`: python train.py
"""

import math
import os
import sys
import time
from itertools import pairwise

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch at import; more are slower on so small a graph
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it a GPU does not repeat its results

import tcs_hpt
from tcs_hpt import data

try:
    import torch
    import torch.nn.functional as F
    from torch_geometric.data import Data
    from torch_geometric.datasets import Planetoid
    from torch_geometric.io import read_planetoid_data
    from torch_geometric.nn import GCNConv
    from torch_geometric.transforms import NormalizeFeatures
    from torch_geometric.utils import to_undirected
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
PLACES = ["cora/raw", "Cora/raw"]  # as prepared, and as torch-geometric leaves it


def fetch(data_dir):
    """The folder of Cora's files, fetched into the cache."""
    try:
        for name, digest in RAW_FILES.items():
            file = data.fetch(f"{Planetoid.url}/{name}", digest, into=PLACES[0], name=name)
    except data.DataUnavailable as error:
        raise data.missing("Cora", RAW_FILES, PLACES[0], data_dir, why=str(error)) from error
    return file.parent


def read(folder):
    """The graph, with the public split: 140 papers to train on, 500 to validate, 1,000 to test."""
    for name, digest in RAW_FILES.items():  # before they are read: a pickle can run code
        data.verify(folder / name, digest)
    return read_planetoid_data(str(folder), "cora")


def made_up():
    """A graph of the same form, for tests on a machine without the real one: papers of a topic share words and cite each other."""
    chance = torch.Generator().manual_seed(0)
    number, word = torch.arange(210), torch.arange(70)
    topic = number % 7
    likely = torch.where(word // 10 == topic[:, None], 0.2, 0.02)
    cited = torch.randint(0, 30, (3, 210), generator=chance) * 7 + topic
    return Data(
        x=torch.bernoulli(likely, generator=chance),
        y=topic,
        edge_index=to_undirected(torch.stack([number.repeat(3), cited.flatten()])),
        train_mask=number < 35,
        val_mask=(number >= 35) & (number < 105),
        test_mask=number >= 105,
    )


def load(data_dir, normalize_features, invent):
    """The graph. With `invent`, one is made up when the real one is not here; else that is fetched."""
    folder = data.locate(data_dir, *PLACES, files=RAW_FILES)
    graph = made_up() if folder is None and invent else read(folder or fetch(data_dir))
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
    try:
        graph = load(trial.data_dir, params["normalize_features"], invent=trial.profile == "smoke")
    except data.DataUnavailable as error:
        sys.exit(str(error))
    torch.manual_seed(trial.seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    graph = graph.to(device)
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
