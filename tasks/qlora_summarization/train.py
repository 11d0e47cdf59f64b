"""A small language model learns in a few steps to summarize news: QLoRA, or another way of fine-tuning.

Run by hand, it trains with the defaults of `task.toml`: python train.py

`articles.py` has the data, `language_models.py` the model and what of it is trained, `scores.py` the metrics.
"""

import hashlib
import json
import logging
import math
import os
import sys
import tempfile
import time

# All of these are read once, when torch and the others are loaded. Threads that wait for each other without resting
# are many times slower while another program keeps the cores busy.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it a GPU does not repeat its results
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import tcs_hpt
from tcs_hpt.data import DataUnavailable

logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)  # it misses a kernel not needed

try:
    import articles
    import language_models
    import scores
    import torch
    import transformers
except ModuleNotFoundError as error:
    sys.exit(
        f"qlora_summarization needs torch, transformers, peft, bitsandbytes, accelerate, datasets, gguf, nltk, "
        f"rouge-score and sacrebleu ({error}): pip install 'tcs-hpt[qlora]'"
    )

CHECKPOINT = "checkpoint.pt"
EVALUATION_BATCH = 16


def half_precision(device):
    """16 bits where a GPU computes; nothing changes on a CPU."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda")


def summary_loss(model, batch):
    """Mean cross-entropy of the summaries' tokens; the many logits of the prompts before them are not computed."""
    labels = batch["labels"]
    first = (labels != -100).any(dim=0).int().argmax().item()
    kept = labels.shape[1] - first + 1  # the logits at one token are about the next
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    logits = model(**inputs, use_cache=False, logits_to_keep=kept).logits[:, :-1]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), labels[:, first:].flatten())


@torch.no_grad()
def evaluate(model, texts, device, with_loss=True):
    """Let the model write a summary of each article, greedily, and score them; loss and perplexity of the real ones."""
    model.eval()
    tokenizer, count = texts.tokenizer, len(texts)
    settings = transformers.GenerationConfig(
        max_new_tokens=texts.new_tokens,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    written, loss, tokens = [], 0.0, 0
    for start in range(0, count, EVALUATION_BATCH):
        numbers = range(start, min(start + EVALUATION_BATCH, count))
        with half_precision(device), language_models.unpacked(model):
            prompts = texts.batch(numbers, device, with_summaries=False)
            answers = model.generate(**prompts, generation_config=settings)
            answers = answers[:, prompts["input_ids"].shape[1] :]
            written += [text.strip() for text in tokenizer.batch_decode(answers, skip_special_tokens=True)]
            if with_loss:
                batch = texts.batch(numbers, device, with_summaries=True)
                labels = (batch["labels"] != -100).sum().item()
                loss += summary_loss(model, batch).item() * labels
                tokens += labels
    shown = [texts.row(n).article for n in range(count)]
    found = scores.score(shown, written, [pair.highlights for pair in texts.pairs])
    if with_loss:
        mean = loss / tokens
        found |= {"loss": mean, "perplexity": math.exp(mean) if mean < 100 else math.inf}
    return found


def base_scores(model, texts, device, what):
    """The scores of the model as it was loaded; measured once, and kept in the cache if it is known what was scored."""
    if what is None:
        return evaluate(model, texts, device)
    versions = [
        torch.__version__,
        transformers.__version__,
        language_models.bnb.__version__,
        scores.has_wordnet(),
    ]
    quantized = getattr(model, "is_loaded_in_4bit", False)
    rows = [texts.row(n) for n in range(len(texts))]
    key = [what, versions, device, quantized, rows, texts.pairs, texts.new_tokens]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    file = language_models.cache() / f"base-{digest[:32]}.json"
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8"))
    found = evaluate(model, texts, device)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(found), encoding="utf-8")
    os.replace(partial, file)
    return found


def trained_part(model):
    """A copy of the weights that are trained."""
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


def put_back(model, weights):
    """Give the model weights that `trained_part` has copied."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in weights:
                parameter.copy_(weights[name])


def save(path, model, optimizer, **state):
    """Write a checkpoint, whole or not at all."""
    partial = path.with_suffix(".partial")
    state |= {
        "weights": trained_part(model),
        "optimizer": optimizer.state_dict(),
        "rng": torch.get_rng_state(),
    }
    state["cuda_rng"] = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    torch.save(state, partial)
    os.replace(partial, path)


def resume(path, config, model, optimizer):
    """Go on from what an earlier try of the trial left: the epochs it reported, the best of them, and its weights."""
    if not path.is_file():
        return [], None, {}
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["config"] != config:
        return [], None, {}
    put_back(model, state["weights"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["rng"])
    if state["cuda_rng"]:
        torch.cuda.set_rng_state_all(state["cuda_rng"])
    return state["epochs"], state["best"], state["best_weights"]


def order(seed, steps, batch_size, count):
    """Which texts each step trains with: all in a random order, then all in another."""
    generator = torch.Generator().manual_seed(seed)
    rounds = math.ceil(steps * batch_size / count)
    shuffled = torch.cat([torch.randperm(count, generator=generator) for _ in range(rounds)])
    return shuffled[: steps * batch_size].view(steps, batch_size).tolist()


def step(model, optimizer, batch, device):
    """One update; the loss before it. A model of which nothing is trained has only the loss."""
    model.train()
    with half_precision(device):
        loss = summary_loss(model, batch)
    if optimizer is not None and torch.isfinite(loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def train(trial, model, parts, base, device):
    """Train and evaluate step by step; the result of the best step."""
    params = trial.params
    weights = [p for p in model.parameters() if p.requires_grad]
    lr = params["lr"] or language_models.LEARNING_RATES[params["strategy"]]
    optimizer = torch.optim.AdamW(weights, lr=lr, weight_decay=0.0) if weights else None
    steps = params["steps"] if weights else 1  # nothing changes in a second step
    checkpoint = trial.folder / CHECKPOINT if params["checkpoint"] and trial.number and weights else None
    config = {"params": params, "seed": trial.seed}
    epochs, best, best_weights = (
        resume(checkpoint, config, model, optimizer) if checkpoint else ([], None, {})
    )
    for epoch in epochs:
        trial.report(**epoch)
    batches = order(trial.seed, steps, params["batch_size"], len(parts["train"]))
    for number in range(len(epochs) + 1, steps + 1):
        start = time.perf_counter()
        loss = step(model, optimizer, parts["train"].batch(batches[number - 1], device, True), device)
        found = {f"val_{name}": value for name, value in evaluate(model, parts["validation"], device).items()}
        epoch = {
            "epoch": number,
            "train_loss": loss,
            **found,
            "lr": lr,
            "seconds": time.perf_counter() - start,
        }
        trial.report(**epoch)
        if not math.isfinite(loss + found["val_loss"]):
            return {"val_rouge1": math.nan, "best_epoch": number}  # diverged, whatever came before
        if best is None or found["val_rouge1"] > best["val_rouge1"]:
            best = found | {"train_loss": loss, "best_epoch": number}
            best_weights = trained_part(model)
        epochs.append(epoch)
        if checkpoint:
            kept = {"epochs": epochs, "best": best, "best_weights": best_weights}
            save(checkpoint, model, optimizer, config=config, **kept)
        if trial.should_stop():
            break
    put_back(model, best_weights)
    best["test_rouge1"] = evaluate(model, parts["test"], device, with_loss=False)["rouge1"]
    if trial.number and hasattr(model, "peft_config"):
        # "auto" would ask the Hub whether the vocabulary has grown, which it never does here.
        model.save_pretrained(trial.artifact("adapter"), save_embedding_layers=False)
    best |= {f"base_{name}": base[name] for name in ("rouge1", "rouge2", "rougeL", "loss")}
    return best | {"trainable_parameters": sum(p.numel() for p in weights)}


def main():
    trial = tcs_hpt.current_trial()
    params = trial.params
    if params["strategy"] not in language_models.LEARNING_RATES:
        trial.refuse(f"strategy must be one of {', '.join(language_models.LEARNING_RATES)}")
    torch.use_deterministic_algorithms(True, warn_only=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    quantize = params["strategy"] == "qlora"
    try:
        pairs = articles.load(trial.data_dir, trial.profile)
        counts = {"train": None, "validation": params["val_examples"], "test": params["test_examples"]}
        pairs = {part: pairs[part][:count] for part, count in counts.items()}
        if params["model"] == "tiny":
            torch.set_num_threads(1)  # more are slower on so small a model
            with tempfile.TemporaryDirectory() as folder:
                language_models.make_tiny(folder, [text for pair in pairs["train"][:50] for text in pair])
                model, tokenizer, _ = language_models.load(folder, None, quantize, device)
            what = None
        else:
            model, tokenizer, what = language_models.load(params["model"], trial.data_dir, quantize, device)
    except DataUnavailable as error:
        sys.exit(str(error))
    parts = {part: articles.Texts(found, tokenizer, params) for part, found in pairs.items()}
    base = base_scores(model, parts["validation"], device, what)
    if "meteor" not in base:
        print("METEOR is left out: nltk has no wordnet (python -m nltk.downloader wordnet)", file=sys.stderr)
    torch.manual_seed(trial.seed)
    result = train(trial, language_models.prepare(model, params), parts, base, device)
    if device == "cuda":
        result["peak_cuda_mb"] = torch.cuda.max_memory_allocated() / 2**20
    trial.finish(**result)
    if trial.number:
        (trial.folder / CHECKPOINT).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
