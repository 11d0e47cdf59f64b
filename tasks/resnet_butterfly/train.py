"""A residual network with 18 layers learns to tell 75 species of butterflies apart on photographs.

Run by hand, it trains with the defaults of `task.toml`: python train.py
"""

import copy
import math
import os
import sys
import time
from itertools import pairwise

from sklearn.metrics import f1_score, recall_score, top_k_accuracy_score

import tcs_hpt
from tcs_hpt.data import DataUnavailable

try:
    import butterfly  # the file beside this one
    import torch
    import torch.nn.functional as F
    from torch import nn
except ModuleNotFoundError as error:
    sys.exit(f"resnet_butterfly needs torch and pillow ({error}): pip install 'tcs-hpt[vision]'")

LR_DROPS = (1 / 3, 2 / 3)  # of the epochs; each divides the step size by 10


class Block(nn.Module):
    """Two convolutions, whose result is added to their input."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x):
        """As many images, of `outputs` channels."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet18(nn.Module):
    """He et al. (2016), with dropout before the last layer."""

    def __init__(self, width, classes, dropout, mean, std):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        conv = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.stem = nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1))
        blocks = [Block(width, width, 1), Block(width, width, 1)]
        for before, after in pairwise([width, 2 * width, 4 * width, 8 * width]):
            blocks += [Block(before, after, 2), Block(after, after, 1)]
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(8 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images):
        """A score for each image and class. The images are bytes, channels last."""
        x = ((images - self.mean) / self.std).permute(0, 3, 1, 2)
        return self.classify(self.dropout(self.blocks(self.stem(x)).mean(dim=(2, 3))))


def make_optimizer(model, params):
    options = {"lr": params["lr"], "weight_decay": params["weight_decay"]}
    if params["optimizer"] == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=params["momentum"], **options)
    return torch.optim.Adam(model.parameters(), **options)


def augment(images):
    """Images shifted by up to an eighth of their size, black where nothing was, and mirrored half of the time."""
    count, size = images.shape[:2]
    most = size // 8
    place = torch.arange(size).expand(count, size)
    mirrored = torch.where(torch.rand(count, 1) < 0.5, place.flip(1), place)
    rows = (place + torch.randint(2 * most + 1, (count, 1)))[:, :, None].to(images.device)
    columns = (mirrored + torch.randint(2 * most + 1, (count, 1)))[:, None, :].to(images.device)
    padded = F.pad(images, (0, 0, most, most, most, most))
    return padded[torch.arange(count, device=images.device)[:, None, None], rows, columns]


def train_one_epoch(model, optimizer, scaler, mixed, part, batch_size):
    """One pass over the images in a new order. Returns loss and accuracy on the way."""
    model.train()
    images, labels = part
    loss_sum, right, seen = 0.0, 0, 0
    order = torch.randperm(len(labels)).to(labels.device)
    for rows in order.split(batch_size)[: max(1, len(labels) // batch_size)]:  # full batches only
        with mixed:
            scores = model(augment(images[rows]))
            loss = F.cross_entropy(scores, labels[rows])
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        loss_sum += loss.detach() * len(rows)
        right += (scores.argmax(dim=1) == labels[rows]).sum()
        seen += len(rows)
    return loss_sum.item() / seen, right.item() / seen


@torch.no_grad()
def evaluate(model, mixed, part):
    """Mean cross-entropy, accuracy, and the scores."""
    model.eval()
    images, labels = part
    with mixed:
        scores = torch.cat([model(some) for some in images.split(500)]).float()
    accuracy = (scores.argmax(dim=1) == labels).double().mean().item()
    return F.cross_entropy(scores, labels).item(), accuracy, scores


class Checkpoint:
    """The state of a training after its latest epoch, in a file."""

    def __init__(self, path, run, **parts):
        self.path, self.run, self.parts = path, run, parts

    def save(self, epochs):
        """In place of what was saved before; whole or not at all."""
        state = {name: part.state_dict() for name, part in self.parts.items()}
        state |= {"run": self.run, "epochs": epochs}
        state |= {"rng": torch.get_rng_state(), "cuda_rng": torch.cuda.get_rng_state_all()}
        partial = self.path.with_suffix(".part")
        torch.save(state, partial)
        os.replace(partial, self.path)

    def restore(self):
        """Put everything back as it was, and return the epochs that are done; none if nothing of this run was saved."""
        if not self.path.is_file():
            return []
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        if state["run"] != self.run:
            return []
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        torch.set_rng_state(state["rng"])
        torch.cuda.set_rng_state_all(state["cuda_rng"])
        return state["epochs"]


def train(trial, learn, val, test):
    """Train, report every epoch, and return the metrics of the best one."""
    params, device = trial.params, learn[0].device.type
    std, mean = torch.std_mean(learn[0].float(), dim=(0, 1, 2))
    model = ResNet18(params["width"], params["species"], params["dropout"], mean, std)
    model = model.to(device, memory_format=torch.channels_last)
    best_model = copy.deepcopy(model)
    optimizer = make_optimizer(model, params)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda done: 0.1 ** sum(done >= part * params["epochs"] for part in LR_DROPS)
    )
    is_mixed = params["mixed_precision"] and device == "cuda"
    half = torch.bfloat16 if not is_mixed or torch.cuda.is_bf16_supported(False) else torch.float16
    mixed = torch.autocast(device, half, enabled=is_mixed)
    scaler = torch.amp.GradScaler(device, enabled=is_mixed and half == torch.float16)
    state = {"model": model, "best_model": best_model, "optimizer": optimizer}
    state |= {"schedule": schedule, "scaler": scaler}
    checkpoint = Checkpoint(trial.folder / "checkpoint.pt", {**params, "seed": trial.seed}, **state)

    epochs = checkpoint.restore() if params["checkpoint"] else []
    for done in epochs:
        trial.report(**done)
    for epoch in range(len(epochs) + 1, params["epochs"] + 1):
        start, lr = time.perf_counter(), schedule.get_last_lr()[0]
        loss, accuracy = train_one_epoch(model, optimizer, scaler, mixed, learn, params["batch_size"])
        val_loss, val_accuracy, _ = evaluate(model, mixed, val)
        schedule.step()
        if val_accuracy > max((done["val_accuracy"] for done in epochs), default=-1.0):
            best_model.load_state_dict(model.state_dict())
        done = {"epoch": epoch, "train_loss": loss, "train_accuracy": accuracy, "val_loss": val_loss}
        done |= {"val_accuracy": val_accuracy, "lr": lr, "seconds": time.perf_counter() - start}
        trial.report(**done)
        if not math.isfinite(loss + val_loss):
            return {"val_accuracy": math.nan}  # diverged, whatever came before
        epochs.append(done)
        if params["checkpoint"]:
            checkpoint.save(epochs)
        if trial.should_stop():
            break

    best = max(epochs, key=lambda done: done["val_accuracy"])  # the first of equal ones
    labels, scores = val[1].cpu(), evaluate(best_model, mixed, val)[2].cpu()
    found = scores.argmax(dim=1)
    result = {"val_accuracy": best["val_accuracy"], "val_loss": best["val_loss"], "best_epoch": best["epoch"]}
    result |= {"val_macro_f1": f1_score(labels, found, average="macro")}
    result |= {"val_worst_species_accuracy": recall_score(labels, found, average=None).min()}
    result |= {"val_top5_accuracy": top_k_accuracy_score(labels, scores, k=5)}
    if device == "cuda":
        result["peak_cuda_mb"] = torch.cuda.max_memory_allocated() / 2**20
    return {**result, "test_accuracy": evaluate(best_model, mixed, test)[1]}


def main():
    trial = tcs_hpt.current_trial()
    params = trial.params
    try:
        parts = butterfly.load(
            trial.data_dir, params["species"], params["image_size"], trial.profile == "smoke"
        )
    except DataUnavailable as error:
        sys.exit(str(error))
    torch.manual_seed(trial.seed)
    torch.backends.cudnn.deterministic = True  # on a GPU, convolutions repeat their results
    device = "cuda" if torch.cuda.is_available() else "cpu"
    result = train(trial, *([torch.from_numpy(array).to(device) for array in part] for part in parts))
    trial.finish(**result)
    (trial.folder / "checkpoint.pt").unlink(missing_ok=True)  # of no more use, and large


if __name__ == "__main__":
    main()
