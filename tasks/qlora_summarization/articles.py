"""News articles and their highlights, CNN/DailyMail 3.0.0: found, fetched or, for `smoke`, made up."""

import gzip
import json
import os
import random
import sys
from collections import namedtuple

import torch
from huggingface_hub import errors as hub

from tcs_hpt import data

HUB_NAME, VERSION = "abisee/cnn_dailymail", "3.0.0"
POOL = {"train": 800, "validation": 200, "test": 500}  # how many pairs of each part a study may use
PREPARED = ["validation_1000.jsonl.gz", "test_500.jsonl.gz"]
REQUEST = "Summarize this news article in two short sentences."
FETCHED = [f"{part}.jsonl.gz" for part in POOL]

Pair = namedtuple("Pair", "article highlights")


def load(data_dir, profile):
    """The pairs of each part: train, validation, test. The same for every trial and seed."""
    if folder := data.locate(data_dir, "cnn_dailymail", "", files=PREPARED):
        return split(*(read(folder / name) for name in PREPARED))
    if parts := parquet_files(data_dir):
        return {part: read_parquet(file, POOL[part]) for part, file in parts.items()}
    if folder := data.locate(data_dir, "cnn_dailymail", files=FETCHED):
        return {part: read(folder / f"{part}.jsonl.gz") for part in POOL}
    if profile == "smoke":
        return made_up()
    folder = fetch(data_dir)
    return {part: read(folder / f"{part}.jsonl.gz") for part in POOL}


def split(validation, test):
    """The prepared folder's validation file, shuffled once, holds both what is trained on and what is validated.

    Its hundred training pairs are left alone: most are of the Daily Mail, the rest of CNN, whose summaries are shorter.
    """
    random.Random(0).shuffle(validation)
    return {"train": validation[: POOL["train"]], "validation": validation[POOL["train"] :], "test": test}


def read(path):
    """The pairs of a file with one JSON object in each line."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [Pair(row["article"], row["highlights"]) for row in map(json.loads, lines)]


def parquet_files(data_dir):
    """The first file of each part, as `hf download --repo-type dataset` leaves them; None if one is missing."""
    folder = data_dir / "cnn_dailymail" / VERSION if data_dir else None
    found = {part: sorted(folder.glob(f"{part}-00000-of-*.parquet")) for part in POOL} if folder else {}
    return {part: files[0] for part, files in found.items()} if found and all(found.values()) else None


def read_parquet(path, count):
    """The leading pairs of a file of the hub."""
    from pyarrow.parquet import ParquetFile  # comes with datasets

    rows = next(ParquetFile(path).iter_batches(count, columns=["article", "highlights"])).to_pylist()
    return [Pair(row["article"], row["highlights"]) for row in rows]


def fetch(data_dir):
    """Read the leading pairs of each part from the Hugging Face Hub into the cache; nothing else is transferred."""
    folder = data.cache_folder() / "cnn_dailymail"
    print(f"fetching {sum(POOL.values())} articles of {HUB_NAME} into {folder}", file=sys.stderr, flush=True)
    try:
        from datasets import load_dataset

        folder.mkdir(parents=True, exist_ok=True)
        for part, count in POOL.items():
            rows = load_dataset(HUB_NAME, VERSION, split=part, streaming=True).take(count)
            partial = folder / f"{part}.{os.getpid()}"
            with gzip.open(partial, "wt", encoding="utf-8") as lines:
                lines.writelines(json.dumps(row) + "\n" for row in rows)
            os.replace(partial, folder / f"{part}.jsonl.gz")
    except (OSError, ValueError, RuntimeError, ImportError, hub.HTTPError) as error:
        why = f"the Hugging Face Hub's {HUB_NAME} cannot be read: {' '.join(str(error).split())}"
        raise data.missing("CNN/DailyMail", PREPARED, "cnn_dailymail", data_dir, why=why) from error
    return folder


def made_up():
    """A few invented reports; the summary of one is its first sentence."""
    choose = random.Random(0).choice
    people = ["The mayor", "A farmer", "The young team", "An old sailor", "The museum", "A teacher"]
    deeds = [
        "opened a bridge",
        "won the race",
        "found a lost dog",
        "sold a painting",
        "planted a hundred trees",
    ]
    places = ["in the harbour", "near the river", "on the hill", "at the market", "beside the station"]
    days = ["on Monday", "on Friday", "last night", "this summer"]
    pairs = []
    for _ in range(60):
        first, *rest = (
            f"{choose(people)} {choose(deeds)} {choose(places)} {choose(days)}." for _ in range(5)
        )
        pairs.append(Pair(" ".join([first, *rest]), first))
    return {"train": pairs[:40], "validation": pairs[40:50], "test": pairs[50:]}


Row = namedtuple("Row", "article prompt summary")  # the article as it was cut; tokens; tokens


class Texts:
    """Pairs of article and highlights as tokens: the prompt, and the summary that shall follow it.

    A pair becomes tokens when it is first asked for: few of those to train on are ever used.
    """

    def __init__(self, pairs, tokenizer, params):
        self.pairs = pairs
        self.tokenizer = tokenizer
        self.new_tokens = params["new_tokens"]
        self.longest = params["article_tokens"], params["summary_tokens"]
        self.rows = {}

    def __len__(self):
        return len(self.pairs)

    def row(self, number):
        """A pair's article, cut, the tokens of its prompt, and those of its summary, with the end."""
        if number not in self.rows:
            pair, (of_article, of_summary) = self.pairs[number], self.longest
            article = self.tokenizer.decode(self.ids(pair.article)[:of_article], skip_special_tokens=True)
            summary = [*self.ids(pair.highlights)[:of_summary], self.tokenizer.eos_token_id]
            self.rows[number] = Row(article, self.ids(self.prompt(article)), summary)
        return self.rows[number]

    def ids(self, text):
        """The tokens of a text."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def prompt(self, article):
        """What the model reads before it writes: in the model's own chat format, if it has one."""
        content = f"{REQUEST}\n\n{article}"
        if not self.tokenizer.chat_template:
            return f"{content}\n\nSummary: "
        messages = [{"role": "user", "content": content}]
        return self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

    def batch(self, numbers, device, with_summaries):
        """Some of the texts, padded on the left. `labels` are the summaries' tokens: the loss is theirs alone."""
        ends = [self.row(n).summary if with_summaries else [] for n in numbers]
        rows = [self.row(n).prompt + end for n, end in zip(numbers, ends, strict=True)]
        width = max(map(len, rows))
        pad = self.tokenizer.pad_token_id
        found = {
            "input_ids": [[pad] * (width - len(row)) + row for row in rows],
            "attention_mask": [[0] * (width - len(row)) + [1] * len(row) for row in rows],
        }
        if with_summaries:
            found["labels"] = [[-100] * (width - len(end)) + end for end in ends]
        return {name: torch.tensor(values, device=device) for name, values in found.items()}
