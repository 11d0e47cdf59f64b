"""Says what is no hyperparameter, by name and by kind of value."""

from __future__ import annotations

import re

from tcs_hpt.evidence.roles import snake_case
from tcs_hpt.importing.found import Found

_RULES: tuple[tuple[str, str], ...] = (
    (r"patience|early_?stopping|(^|_)(save|eval|evaluation|logging)_(steps|strategy|total_limit)$|max_steps$|(^|_)(metric_for_best_model|greater_is_better)$", "a rule of stopping or saving"),
    (r"seed|random_state|(^|_)rng(_|$)", "a seed"),
    (
        r"(^|_)(path|paths|dir|dirs|directory|folder|root|file|files|filename|csv|url|uri|output|outdir|out|outputs|input|inputs"
        r"|save|saved|load|ckpt|checkpoint|checkpoints|cache|resume|restore|export)(_|$)",
        "a place or a file",
    ),
    (r"(^|_)(device|devices|gpu|gpus|cuda|tpu|cpu|cpus|mps|accelerator|strategy|num_nodes|nodes|local_rank|world_size|nthreads?)(_|$)", "a device"),
    (r"(^|_)(workers?|n_?jobs|jobs|threads|prefetch|prefetch_factor|pin_memory|num_proc|processes)(_|$)", "a matter of speed"),
    (r"(^|_)(log|logs|logger|logging|verbose|verbosity|quiet|wandb|tensorboard|mlflow|report_to|print|plot|display|progress)(_|$)|(^|_)(interval|every)$", "logging"),
    (r"(^|_)(eval|test|val|valid|validation|predict|inference)_?(batch|bs|size|split|steps|fraction|ratio|frac|samples|every|freq)", "a matter of evaluation"),
    (r"(^|_)(eval_metric|objective|num_class|num_classes|n_classes|classes|task|mode|action|stage|command|config|cfg|profile)(_|$)", "what is trained, not how"),
    (r"^(name|run_name|tag|id|project|entity|user|experiment|exp_name|exp|experiment_name|model_name|notes|group|dataset|dataset_name|data|train_data|corpus|language|lang|tokenizer|tokenizer_name|model_name_or_path|author|version|year|date)$", "a name"),
    (r"(^|_)(n|num|nb)_(features|samples|examples|labels|train|images|rows|points|clusters|folds|splits|informative|redundant|tokens|words)$|(^|_)(max|min)_(train|images|rows|tokens|words|examples|labels|train_samples|eval_samples)$|(^|_)(n_?splits|k_?folds?|folds|cv|train_size|holdout|subset|limit|train_frac|train_fraction)(_|$)", "a matter of the data"),
    (r"(^|_)(in|input|out|output)_?(channels|features|dim|dims|size|shape|sequence)(_|$)|(^|_)(vocab|vocabulary|image|img|crop|resize)(_size)?$|max_(seq_?)?(len|length)(gth)?|(^|_)(seq_len|seq_length|sequence_length|max_seq_length|max_position_embeddings|type_vocab_size|pad_token_id|sample_rate|sampling_rate)$", "a matter of the data"),
    (r"(^|_)(fp16|bf16|amp|precision|dtype|compile|tf32|half|backend|port|host|timeout|debug|dry_run|fast_dev_run|benchmark|deterministic|profiler)(_|$)", "a matter of the machine"),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern), reason) for pattern, reason in _RULES)
_ARCHITECTURE = re.compile(
    r"^(model|arch|architecture|backbone|net|network|model_type|encoder|estimator|algorithm|clf|classifier)$"
)
_SWITCHES = re.compile(
    r"nesterov|amsgrad|(^|_)(bn|batch_?norm|layer_?norm|norm|residual|skip|bias|bidirectional|augment|augmentation|mixup|cutmix"
    r"|fit_intercept|shrinking|bootstrap|oversample|class_weights?|weighted|balanced|warm_start|average|averaging|ema|swa|cosine|clip)(_|$)"
)
CLEARLY = re.compile(
    r"^(lr|learning_rate|eta|epochs?|num_epochs|n_epochs|max_epochs|num_train_epochs|batch_size|(per_device_)?train_batch_size|dropout|weight_decay|momentum|optimizer|hidden(_size|_dim)?)$"
)
"""Names that are hyperparameters whatever else a rule says."""


def reason_against(found: Found) -> str:
    """Why something is not tuned; empty for what may be a hyperparameter."""
    name = snake_case(found.name)
    if CLEARLY.match(name):
        return ""
    words = {name, snake_case(found.route.key.rsplit(".", 1)[-1].strip("-"))}
    for pattern, reason in _COMPILED:
        if any(pattern.search(word) for word in words):
            return reason
    if found.kind == "bool":
        return _against_switch(found, name)
    if _ARCHITECTURE.match(name) and found.kind == "text":
        return "which model it is"
    if found.kind == "text" and not found.choices:
        return "text whose possible values the script does not list"
    if found.kind == "unknown" and not found.choices and found.default is None and not found.help:
        return ""  # perhaps known by name
    return ""


def _against_switch(found: Found, name: str) -> str:
    if not _SWITCHES.search(name):
        return "a switch"
    if found.route.way == "toggle" and not found.route.off and found.default is found.route.gives:
        return "a switch that is on already and cannot be taken back"
    if found.route.way == "flag" and found.default is None:
        return "a switch without a default"
    return ""
