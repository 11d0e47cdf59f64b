"""DeepFM learns who will like which film: linear terms, a factorization machine and a network on shared embeddings.

Run by hand, it trains with the defaults of `task.toml`: python train.py
"""

import math
import os
import sys
import time
from itertools import pairwise

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # read by torch at import; more gain little on so small a network
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it a GPU does not repeat its results

import numpy as np
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

import tcs_hpt
from tcs_hpt import data

try:
    import torch
    import torch.nn.functional as F
except ModuleNotFoundError as error:
    sys.exit(f"deepfm_movielens needs torch ({error}): pip install 'tcs-hpt[recsys]'")

URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
SHA256 = "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229"
FILES = ["u.data", "u.item", "u.user"]
PLACES = [
    "movielens/ml-100k",
    "ml-100k",
    "ml-100k/ml-100k",
    "",
]  # as prepared, as unpacked, and the folder itself
AGES = [18, 25, 35, 45, 50, 56]  # where the next group begins, as in the larger sets of MovieLens
LIKED = 4  # this rating, or a better one
SPLIT_SEED = 0  # never the trial's: every trial sees the same ratings


def fetch(data_dir):
    """The folder of MovieLens 100K, fetched into the cache."""
    try:
        return data.fetch(URL, SHA256, into="movielens", unpack="zip") / "ml-100k"
    except data.DataUnavailable as error:
        raise data.missing("MovieLens 100K", FILES, PLACES[0], data_dir, why=str(error)) from error


def read(folder):
    """One row per rating: values of the five fields, [ratings, 5], how many values each has, genres, liked or not."""
    user, item, rating, _ = np.loadtxt(folder / "u.data", dtype=np.int64, unpack=True)
    people = [line.split("|") for line in (folder / "u.user").read_text(encoding="utf-8").splitlines()]
    films = [line.split("|") for line in (folder / "u.item").read_text(encoding="latin-1").splitlines()]
    jobs = sorted({job for _, _, _, job, _ in people})
    persons = [
        [np.digitize(int(age), AGES), gender == "F", jobs.index(job)] for _, age, gender, job, _ in people
    ]
    genres = np.array([film[5:] for film in films], dtype=np.float32)
    fields = np.column_stack([user - 1, item - 1, np.array(persons, dtype=np.int64)[user - 1]])
    return fields, [len(people), len(films), len(AGES) + 1, 2, len(jobs)], genres[item - 1], rating >= LIKED


def made_up():
    """Ratings of the same form, for tests on a machine without the real ones."""
    chance = np.random.default_rng(SPLIT_SEED)
    users, films = chance.integers(0, 50, 2000), chance.integers(0, 80, 2000)
    persons, genres = chance.integers(0, 2, (50, 3)), chance.integers(0, 2, (80, 19)).astype(np.float32)
    genres[:, 0] = 1  # every film has one
    taste = chance.normal(size=50)[users] + chance.normal(size=80)[films]
    return np.column_stack([users, films, persons[users]]), [50, 80, 7, 2, 21], genres[films], taste > 0


def load(data_dir, max_ratings, invent):
    """Train, validation and test ratings, 80/10/10, each (fields, genres, liked); and how many values each field has.

    With `invent`, ratings are made up when the real ones are not here; else those are fetched.
    """
    folder = data.locate(data_dir, *PLACES, files=FILES)
    if folder is None and invent:
        fields, sizes, genres, liked = made_up()
    else:
        fields, sizes, genres, liked = read(folder or fetch(data_dir))
    order = np.random.default_rng(SPLIT_SEED).permutation(len(liked))[:max_ratings]
    shares = genres / genres.sum(axis=1, keepdims=True)  # so that their sum is a mean
    rows = [torch.from_numpy(a[order]) for a in (fields, shares, liked.astype(np.float32))]
    held_out = len(order) // 10
    parts = zip(
        *(column.split([len(order) - 2 * held_out, held_out, held_out]) for column in rows), strict=True
    )
    return list(parts), sizes


class DeepFM(torch.nn.Module):
    """Guo et al. (2017). Every field is one embedding; that of the genres is the mean over the film's genres."""

    def __init__(self, sizes, genres, params):
        super().__init__()
        self.genres = genres
        self.register_buffer("starts", torch.tensor([0, *sizes[:-1]]).cumsum(0))
        width = params["embed_size"]
        self.weights = torch.nn.Embedding(sum(sizes) + genres, 1)
        self.factors = torch.nn.Embedding(sum(sizes) + genres, width)
        for table in self.weights, self.factors:
            torch.nn.init.normal_(table.weight, std=0.01)
        self.bias = torch.nn.Parameter(torch.zeros(()))
        layers, widths = [], [(len(sizes) + 1) * width] + [params["mlp_hidden"]] * params["mlp_layers"]
        for inputs, outputs in pairwise(widths):
            layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU(), torch.nn.Dropout(params["dropout"])]
        self.deep = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], 1))

    def look_up(self, table, fields, shares):
        """What a table holds for each field, [ratings, fields, width]."""
        return torch.cat(
            [table(fields + self.starts), (shares @ table.weight[-self.genres :])[:, None]], dim=1
        )

    def forward(self, fields, shares):
        """The logit of each rating to be a good one."""
        linear = self.look_up(self.weights, fields, shares).sum(dim=(1, 2))
        factors = self.look_up(self.factors, fields, shares)
        # The sum of the inner products of all pairs of fields, in linear time (Rendle, 2010).
        pairs = (factors.sum(dim=1).square() - factors.square().sum(dim=1)).sum(dim=1) / 2
        return self.bias + linear + pairs + self.deep(factors.flatten(1)).squeeze(1)


def make_optimizer(model, params):
    """Everything but the biases is penalized."""
    free = [p for name, p in model.named_parameters() if name.endswith("bias")]
    bound = [p for name, p in model.named_parameters() if not name.endswith("bias")]
    groups = [{"params": bound, "weight_decay": params["reg_weight"]}, {"params": free}]
    return {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[params["optimizer"]](groups, lr=params["lr"])


def train_one_epoch(model, optimizer, part, batch_size):
    """One pass in random order. Returns the scores while learning, in training mode."""
    model.train()
    fields, shares, liked = part
    logits = torch.empty_like(liked)
    for rows in torch.randperm(len(liked)).to(liked.device).split(batch_size):
        optimizer.zero_grad()
        found = model(fields[rows], shares[rows])
        F.binary_cross_entropy_with_logits(found, liked[rows]).backward()
        optimizer.step()
        logits[rows] = found.detach()
    return scores("train", logits, liked)


@torch.no_grad()
def evaluate(name, model, part):
    """The scores of the model as it is."""
    model.eval()
    fields, shares, liked = part
    return scores(name, model(fields, shares), liked)


def scores(name, logits, liked):
    """Log loss, AUC and accuracy; not a number when the training has diverged."""
    chances, liked = torch.sigmoid(logits.double()).cpu().numpy(), liked.cpu().numpy()
    if not np.isfinite(chances).all():
        return dict.fromkeys([f"{name}_loss", f"{name}_auc", f"{name}_accuracy"], math.nan)
    return {
        f"{name}_loss": log_loss(liked, chances, labels=[0, 1]),
        f"{name}_auc": roc_auc_score(liked, chances),
        f"{name}_accuracy": accuracy_score(liked, chances > 0.5),
    }


class Checkpoint:
    """The training as it was after its last epoch, in the trial's folder, for a process that goes on from there."""

    def __init__(self, trial, model, optimizer):
        self.file = trial.folder / "checkpoint.pt" if trial.params["checkpoint"] else None
        self.config = {**trial.params, "seed": trial.seed}
        self.parts = {"model": model, "optimizer": optimizer}

    def load(self):
        """The epochs reported so far and the best of them; none when this is the start."""
        if self.file is None or not self.file.is_file():
            return [], {}
        saved = torch.load(self.file, map_location="cpu", weights_only=True)
        if saved["config"] != self.config:
            return [], {}
        for name, part in self.parts.items():
            part.load_state_dict(saved[name])
        torch.set_rng_state(saved["random"])
        if torch.cuda.is_available():
            torch.cuda.set_rng_state_all(saved["random_cuda"])
        return saved["epochs"], saved["best"]

    def save(self, epochs, best):
        """By rename, so that it is never half a file."""
        if self.file is None:
            return
        state = {name: part.state_dict() for name, part in self.parts.items()}
        state |= {"config": self.config, "epochs": epochs, "best": best, "random": torch.get_rng_state()}
        if torch.cuda.is_available():
            state["random_cuda"] = torch.cuda.get_rng_state_all()
        torch.save(state, self.file.with_suffix(".partial"))
        os.replace(self.file.with_suffix(".partial"), self.file)

    def remove(self):
        """Once the trial has finished; it is no artifact."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)


def main():
    trial = tcs_hpt.current_trial()
    params = trial.params
    try:
        parts, sizes = load(trial.data_dir, params["max_ratings"], invent=trial.profile == "smoke")
    except data.DataUnavailable as error:
        sys.exit(str(error))
    torch.manual_seed(trial.seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_flush_denormal(True)  # Adam's averages fade below 1e-38, where some CPUs are slow
    device = "cuda" if torch.cuda.is_available() else "cpu"
    train, val, test = [[column.to(device) for column in part] for part in parts]
    model = DeepFM(sizes, train[1].shape[1], params).to(device)
    optimizer = make_optimizer(model, params)
    checkpoint = Checkpoint(trial, model, optimizer)
    epochs, best = checkpoint.load()
    for epoch in epochs:  # of the process before this one
        trial.report(**epoch)
    for epoch in range(len(epochs) + 1, params["epochs"] + 1):
        if best and epoch - 1 - best["best_epoch"] >= params["patience"]:
            break
        start = time.perf_counter()
        found = train_one_epoch(model, optimizer, train, params["batch_size"]) | evaluate("val", model, val)
        epochs.append({"epoch": epoch, **found, "lr": params["lr"], "seconds": time.perf_counter() - start})
        trial.report(**epochs[-1])
        if not math.isfinite(found["train_loss"] + found["val_loss"]):
            best = {"val_auc": math.nan}  # diverged, whatever came before
            break
        if not best or found["val_auc"] > best["val_auc"]:
            best = {name: found[name] for name in ("val_auc", "val_loss", "val_accuracy")}
            best |= {"test_auc": evaluate("test", model, test)["test_auc"], "best_epoch": epoch}
        checkpoint.save(epochs, best)
        if trial.should_stop():
            break
    if device == "cuda":
        best["peak_cuda_mb"] = torch.cuda.max_memory_allocated() / 2**20
    trial.finish(**best)
    checkpoint.remove()


if __name__ == "__main__":
    main()
