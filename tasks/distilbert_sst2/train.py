"""DistilBERT learns whether a sentence from a film review is positive or negative (SST-2).

Run by hand, it trains with the defaults of `task.toml`: TCS_HPT_PROFILE=quick python train.py
"""

import contextlib
import hashlib
import math
import os
import sys
import tempfile
import time

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it a GPU does not repeat its results

import numpy as np
import sst2
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

import tcs_hpt
from tcs_hpt import data
from tcs_hpt.data import DataUnavailable

try:
    import torch
    import torch.nn.functional as F
    from tokenizers import BertWordPieceTokenizer
    from transformers import (
        AutoTokenizer,
        BertTokenizer,
        DistilBertConfig,
        DistilBertForSequenceClassification,
    )
    from transformers import get_linear_schedule_with_warmup as linear_schedule
    from transformers.trainer_pt_utils import LengthGroupedSampler
except ModuleNotFoundError as error:
    sys.exit(f"distilbert_sst2 needs torch and transformers ({error}): pip install 'tcs-hpt[text]'")

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
BF16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
HALF = torch.bfloat16 if BF16 else torch.float16  # what a GPU computes in


def vocabulary(sentences, size):
    """A WordPiece vocabulary of the sentences: token to number. Trained once, and kept in the cache."""
    digest = hashlib.sha256("\n".join([str(size), *sentences]).encode()).hexdigest()
    kept = data.cache_folder() / "distilbert_sst2" / f"vocab-{digest[:32]}.txt"
    if not kept.is_file():
        pieces = BertWordPieceTokenizer()
        # The trainer numbers the `##x` of single characters in the order of a hash table, and numbers break its
        # ties. Numbered here, two runs give the same vocabulary.
        letters = sorted(set(pieces.normalize("\n".join(sentences))) - {"\n", " "})
        given = SPECIAL_TOKENS + [f"##{letter}" for letter in letters]
        pieces.train_from_iterator(sentences, vocab_size=size, special_tokens=given, show_progress=False)
        tokens = pieces.get_vocab()
        text = "\n".join(sorted(tokens, key=tokens.get))
        with contextlib.suppress(OSError):  # a cache that cannot be written costs seconds, not the trial
            kept.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=kept.parent, delete=False, encoding="utf-8") as partial:
                partial.write(text)
            os.replace(partial.name, kept)
    else:
        text = kept.read_text(encoding="utf-8")
    return {token: number for number, token in enumerate(text.split("\n"))}


def load_pretrained(place, tuned, local_files_only):
    """Tokenizer and model from a folder, or from the Hugging Face hub and its cache."""
    options = {"local_files_only": local_files_only}
    tokenizer = AutoTokenizer.from_pretrained(place, **options)
    return tokenizer, DistilBertForSequenceClassification.from_pretrained(
        place, num_labels=2, **tuned, **options
    )


def make_model(params, sentences, data_dir):
    """Tokenizer and model: from pretrained weights, or from scratch with a vocabulary of the training sentences."""
    tuned = {
        "dropout": params["dropout"],
        "attention_dropout": params["attention_dropout"],
        "seq_classif_dropout": params["classifier_dropout"],
        "activation": params["activation"],
    }
    if params["init"] == "scratch":
        tokenizer = BertTokenizer(vocab=vocabulary(sentences, params["vocab_size"]))
        sizes = {"n_layers": params["layers"], "n_heads": params["heads"], "dim": params["dim"]}
        sizes |= {"hidden_dim": 4 * params["dim"], "max_position_embeddings": params["max_length"]}
        config = DistilBertConfig(vocab_size=len(tokenizer), num_labels=2, **sizes, **tuned)
        return tokenizer, DistilBertForSequenceClassification(config)
    name = params["model"]
    short = name.rpartition("/")[2]
    place = data.locate(data_dir, name, short, files=["config.json"]) or name
    try:
        return load_pretrained(place, tuned, local_files_only=True)
    except (OSError, ValueError):
        pass  # not here yet
    try:
        return load_pretrained(place, tuned, local_files_only=False)
    except (OSError, ValueError) as error:
        files = ["config.json", "model.safetensors", "vocab.txt"]
        why = f"it cannot be loaded: {' '.join(str(error).split()).rstrip('.')}"
        raise data.missing(name, files, short, data_dir, why=why) from error


def batches(rows, tokenizer, max_length, batch_size, shuffle):
    """Batches (tokens, mask, labels) of sentences of about the same length, padded to the longest of the batch."""
    sentences = [sentence for sentence, _ in rows]
    encoded = tokenizer(sentences, truncation=True, max_length=max_length)["input_ids"]
    examples = [(torch.tensor(ids), label) for ids, (_, label) in zip(encoded, rows, strict=True)]

    def collate(chosen):
        ids, labels = zip(*chosen, strict=True)
        ids = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=tokenizer.pad_token_id)
        return ids, (ids != tokenizer.pad_token_id).long(), torch.tensor(labels)

    lengths = [len(ids) for ids in encoded]
    by_length = sorted(range(len(rows)), key=lengths.__getitem__)
    order = LengthGroupedSampler(batch_size, lengths=lengths) if shuffle else by_length
    return torch.utils.data.DataLoader(examples, batch_size, sampler=order, collate_fn=collate)


def make_optimizer(model, params, steps):
    """AdamW, which leaves biases and normalizations undecayed, and its schedule: linear warm-up, then linear decay."""
    plain = [p for p in model.parameters() if p.ndim < 2]
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    groups = [
        {"params": decayed, "weight_decay": params["weight_decay"]},
        {"params": plain, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=params["lr"], fused=True)
    return optimizer, linear_schedule(optimizer, math.ceil(params["warmup"] * steps), steps)


def predict(model, batch, device):
    """The two scores of each sentence, and the labels; in half precision on a GPU."""
    ids, mask, labels = (tensor.to(device) for tensor in batch)
    with torch.autocast(device, HALF, enabled=device == "cuda"):
        scores = model(input_ids=ids, attention_mask=mask).logits
    return scores.float(), labels


def train_one_epoch(model, train, optimizer, schedule, scaler, device):
    """One pass; mean loss and accuracy on the way, with dropout. A loss that is not finite ends it at once."""
    model.train()
    total = right = seen = 0
    for batch in train:
        scores, labels = predict(model, batch, device)
        loss = F.cross_entropy(scores, labels)
        total, seen = total + loss.item() * len(labels), seen + len(labels)
        right += (scores.argmax(dim=1) == labels).sum().item()
        if not math.isfinite(total):
            break
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        schedule.step()
    return {"train_loss": total / seen, "train_accuracy": right / seen}


@torch.no_grad()
def evaluate(model, held_out, device):
    """Cross-entropy, accuracy, macro F1 and area under the ROC curve; NaN when the model has diverged."""
    model.eval()
    found = [predict(model, batch, device) for batch in held_out]
    probabilities = torch.cat([scores.softmax(dim=1)[:, 1] for scores, _ in found]).double().cpu().numpy()
    labels = torch.cat([labels for _, labels in found]).cpu().numpy()
    if not np.isfinite(probabilities).all():
        return dict.fromkeys(("loss", "accuracy", "macro_f1", "auc"), math.nan)
    return {
        "loss": log_loss(labels, probabilities),
        "accuracy": accuracy_score(labels, probabilities > 0.5),
        "macro_f1": f1_score(labels, probabilities > 0.5, average="macro"),
        "auc": roc_auc_score(labels, probabilities),
    }


def save(path, **state):
    """Write a checkpoint, whole or not at all."""
    torch.save(state, path.with_suffix(".partial"))
    os.replace(path.with_suffix(".partial"), path)


def main():
    trial = tcs_hpt.current_trial()
    params = trial.params
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if params["init"] == "scratch":
        torch.set_num_threads(1)  # more are slower for a network this small
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.manual_seed(trial.seed)
    try:
        rows = sst2.load(trial.data_dir, params["max_train"], params["made_up_if_missing"])
        tokenizer, model = make_model(params, [sentence for sentence, _ in rows["train"]], trial.data_dir)
    except DataUnavailable as error:
        sys.exit(str(error))
    size, longest = params["batch_size"], params["max_length"]
    train = batches(rows["train"], tokenizer, longest, size, shuffle=True)
    val, test = (batches(rows[part], tokenizer, longest, 128, shuffle=False) for part in ("val", "test"))
    model.to(device)
    optimizer, schedule = make_optimizer(model, params, len(train) * params["epochs"])
    scaler = torch.amp.GradScaler(device, enabled=device == "cuda" and HALF is torch.float16)
    stateful = {"model": model, "optimizer": optimizer, "schedule": schedule, "scaler": scaler}
    best, epochs = {"val_accuracy": -1.0}, []

    checkpoint = trial.folder / "checkpoint.pt"
    same = {"config": params | {"seed": trial.seed}}
    if (
        trial.number and checkpoint.is_file()
    ):  # of an earlier try that was interrupted; run by hand there is none
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        if state["config"] == same["config"]:
            for name, part in stateful.items():
                part.load_state_dict(state[name])
            torch.set_rng_state(state["rng"])
            if device == "cuda":
                torch.cuda.set_rng_state(state["cuda_rng"])
            best, epochs = state["best"], state["epochs"]
    for epoch, found in enumerate(epochs, start=1):
        trial.report(epoch=epoch, **found)

    for epoch in range(len(epochs) + 1, params["epochs"] + 1):
        start = time.perf_counter()
        found = train_one_epoch(model, train, optimizer, schedule, scaler, device)
        scores = {f"val_{name}": float(value) for name, value in evaluate(model, val, device).items()}
        found |= scores | {"lr": schedule.get_last_lr()[0], "seconds": time.perf_counter() - start}
        trial.report(epoch=epoch, **found)
        if not math.isfinite(found["train_loss"] + found["val_loss"]):
            best = {"val_accuracy": math.nan}  # diverged, whatever came before
            break
        if found["val_accuracy"] > best["val_accuracy"]:
            best = {**scores, "test_accuracy": evaluate(model, test, device)["accuracy"], "best_epoch": epoch}
        if trial.should_stop():
            break
        epochs.append(found)
        if trial.number:
            rng = {"rng": torch.get_rng_state()}
            rng |= {"cuda_rng": torch.cuda.get_rng_state()} if device == "cuda" else {}
            states = {name: part.state_dict() for name, part in stateful.items()}
            save(checkpoint, **same, **states, **rng, best=best, epochs=epochs)
    if device == "cuda":
        best["peak_cuda_mb"] = torch.cuda.max_memory_allocated() / 2**20
    trial.finish(**best)
    checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
