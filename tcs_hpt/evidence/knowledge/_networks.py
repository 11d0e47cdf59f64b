"""Networks with habits of their own: fine-tuned transformers, LoRA, graphs, click prediction, scikit-learn's MLP."""

from __future__ import annotations

from tcs_hpt.evidence.knowledge._entry import BUDGET, Entry, Interaction, Scaling, on
from tcs_hpt.evidence.knowledge._neural import (
    ACTIVATION,
    ADAM_OR_UNSAID,
    BATCH,
    DECAY,
    DROPOUT,
    EPOCHS,
    LAYERS,
    LR,
    SCHEDULE,
    SGD,
    WIDTH,
)

_BERT = "Devlin et al. 2019, appendix A.3"
_QLORA = "QLoRA's published run (Dettmers et al. 2023, finetune_guanaco_7b)"
_PEFT = "PEFT documentation, LoRA method comparison"
_GCN = "Kipf and Welling 2017, section 5.2"
_RECBOLE = "RecBole documentation, DeepFM"

FINETUNING = (
    Entry(LR, f"{_BERT}: 5e-5, 3e-5, 2e-5", "the step size of BERT's fine-tuning", "high", 3e-5, 1e-5, 1e-4, log=True, given=ADAM_OR_UNSAID),
    Entry(BATCH, f"{_BERT}: 16, 32", "the batch of BERT's fine-tuning", "high", 32, 16, 64, log=True),
    Entry(EPOCHS, f"{_BERT}: 2, 3, 4", "as long as BERT is fine-tuned", "high", 3, 2, 4, reach=BUDGET),
    Entry(DECAY, "Devlin et al. 2019, appendix A.2: 0.01; RoBERTa (Liu et al. 2019, table 10): 0.1", "BERT's decay", "medium",
          1e-2, 1e-3, 0.1, log=True, zero=0.8),
    Entry((*DROPOUT, "hidden_dropout_prob"), f"{_BERT}: always 0.1", "BERT's dropout", "high", 0.1, 0.05, 0.2),
    Entry(("attention_dropout", "attn_dropout", "attention_probs_dropout_prob", "att_dropout"), "default of DistilBertConfig", "BERT's dropout", "high", 0.1, 0.0, 0.2),
    Entry(("classifier_dropout", "seq_classif_dropout", "cls_dropout", "head_dropout"), "default of DistilBertConfig: 0.2; BERT 0.1", "DistilBERT's dropout", "medium", 0.2, 0.1, 0.3),
    Entry(("warmup_ratio", "warmup_proportion", "warmup_fraction"), "Mosbach et al. 2021: 0.1; RoBERTa (Liu et al. 2019, table 10): 0.06", "the usual warmup", "high", 0.1, 0.0, 0.2),
    Entry(ACTIVATION, "default of DistilBertConfig: what the weights were trained with", "the pretrained weights expect gelu", "high",
          worth={"gelu": 1.0, "gelunew": 0.9, "silu": 0.5, "swish": 0.5, "relu": 0.4, "tanh": 0.1}),
    Entry(SCHEDULE, "the default of Transformers' TrainingArguments", "the usual schedule", "high",
          worth={"linear": 1.0, "cosine": 0.9, "polynomial": 0.7, "constantwithwarmup": 0.6, "constant": 0.4}),
    Entry(("layerwise_lr_decay", "llrd", "layer_decay", "layerwise_decay", "lr_layer_decay"), "Sun et al. 2019: 0.95", "a usual decay over layers", "medium", 0.95, 0.85, 1.0),
)  # fmt: skip

LORA = (
    Entry(("r", "lora_r", "rank", "lora_rank"), f"{_PEFT}: start with 8 to 16, try 4 to 32; QLoRA used 64", "a usual rank", "medium", 16, 8, 64, log=True),
    Entry(("lora_alpha", "alpha", "lora_scaling"), f"{_PEFT}: 8 to 64; Diffusers documentation: once or twice the rank", "twice the rank", "medium",
          32, 16, 64, log=True, scalings=(Scaling("r", 16, 1.0),)),
    Entry(("lora_dropout", *DROPOUT), f"{_QLORA}: 0.1; {_PEFT}: 0 to 0.1", "the usual dropout of LoRA", "medium", 0.1, 0.0, 0.1),
    Entry(LR, f"{_QLORA}; {_PEFT}: 1e-4 to 5e-4", "LoRA's usual step size", "high", 2e-4, 1e-4, 5e-4, log=True, given=ADAM_OR_UNSAID),
    Entry(BATCH, f"{_QLORA}: 4 times 4 accumulated", "the batch of QLoRA", "medium", 16, 4, 32, log=True),
    Entry(EPOCHS, f"{_PEFT}: 1 to 3", "as long as LoRA usually trains", "medium", 2, 1, 3, reach=BUDGET),
    Entry(DECAY, f"{_QLORA}: 0", "the decay of QLoRA", "medium", 0.0, 0.0, 0.01),
    Entry(("warmup_ratio", "warmup_proportion", "warmup_fraction"), f"{_QLORA}: 0.03", "the warmup of QLoRA", "medium", 0.03, 0.0, 0.1),
    Entry(("max_grad_norm", "grad_clip", "clip_norm", "clip_grad_norm"), f"{_QLORA}: 0.3", "the clipping of QLoRA", "medium", 0.3, 0.3, 1.0, log=True),
    Entry(SCHEDULE, f"{_QLORA}: constant", "the schedule of QLoRA", "medium",
          worth={"constant": 1.0, "cosine": 1.0, "linear": 1.0, "constantwithwarmup": 1.0, "polynomial": 0.7}),
    Entry(("target_modules", "lora_modules", "modules", "lora_target", "target"), f"{_QLORA}: adapters on all linear layers", "adapters on all layers", "high",
          worth={"all": 1.0, "alllinear": 1.0, "qkvogateupdown": 1.0, "qkvogate": 0.9, "qkvo": 0.8, "qkv": 0.7, "qv": 0.6, "attention": 0.7, "mlp": 0.7, "q": 0.3, "v": 0.4}),
    *(
        on(f"{p}_proj", p, f"lora_{p}", f"target_{p}", f"adapter_{p}", f"use_{p}", f"adapt_{p}", f"{p}_adapter",
           f"lora_{p}_proj", f"target_{p}_proj", f"adapter_{p}_proj", f"use_{p}_proj", f"adapt_{p}_proj",
           source=f"{_QLORA}: adapters on all linear layers", why="adapters on all layers", off=0.5)
        for p in ("q", "k", "v", "o", "gate", "up", "down")
    ),
)  # fmt: skip

GRAPH = (
    Entry(LR, _GCN, "the step size of the published GCN", "high", 0.01, 3e-3, 3e-2, log=True, given=ADAM_OR_UNSAID),
    Entry(LAYERS, _GCN, "two convolutions, as published", "high", 2, 2, 3),
    Entry((*WIDTH, "hidden1"), f"{_GCN}: 16; Shchur et al. 2018 search up to 64", "the width of the published GCN", "high", 16, 16, 64, log=True),
    Entry((*DROPOUT, "feat_drop"), _GCN, "the dropout of the published GCN", "high", 0.5, 0.3, 0.7),
    Entry(DECAY, _GCN, "the penalty of the published GCN", "high", 5e-4, 1e-4, 5e-3, log=True, zero=0.4),
    Entry(EPOCHS, _GCN, "as long as the published GCN", "high", 200, 100, 400, log=True, reach=BUDGET),
    Entry(("optimizer", "optim", "opt", "optimizer_type"), _GCN, "the published GCN trains with adam", "high",
          worth={"adam": 1.0, "adamw": 0.9, "nadam": 0.8, "rmsprop": 0.5, "sgd": 0.3, "adagrad": 0.4}),
    Entry(("heads", "num_heads", "n_heads"), "Veličković et al. 2018, section 3.3", "the heads of the published GAT", "high", 8, 4, 8, log=True),
)  # fmt: skip

RECOMMENDER = (
    Entry(LR, f"{_RECBOLE}: 1e-4 to 1e-2", "adam's usual step size", "medium", 1e-3, 3e-4, 5e-3, log=True, given=ADAM_OR_UNSAID),
    Entry(("embedding_size", "embed_size", "embedding_dim", "embed_dim", "emb_size", "emb_dim", "latent_dim", "n_factors"), f"{_RECBOLE}: 10", "small embeddings suffice", "medium", 16, 8, 32, log=True),
    Entry(DROPOUT, f"{_RECBOLE}: 0.2; Guo et al. 2017, section 3.1: 0.5", "the dropout of DeepFM", "medium", 0.2, 0.1, 0.5),
    Entry(WIDTH, f"{_RECBOLE}: 128; Guo et al. 2017, section 3.1: 400", "the width of DeepFM", "medium", 128, 64, 400, log=True),
    Entry(LAYERS, "Guo et al. 2017, section 3.1: 400-400-400", "three layers, as published", "high", 3, 2, 3),
    Entry(BATCH, "RecBole's default: 2048", "a large batch suits click data", "low", 1024, 256, 4096, log=True),
    Entry((*DECAY, "embedding_regularizer", "reg"), "DeepCTR's default on embeddings: 1e-5", "a light penalty", "low", 1e-5, 1e-7, 1e-4, log=True, zero=0.8),
    Entry(EPOCHS, "click models pass over their data a few times; ours", "click models converge early", "low", 10, 3, 30, log=True, reach=BUDGET),
)  # fmt: skip

SKLEARN_MLP = (
    Entry(("weight_decay", "alpha"), "scikit-learn user guide, MLP: 0.1 to 1e-6, default 1e-4", "the default L2 penalty", "high", 1e-4, 1e-6, 0.1, log=True, zero=0.7),
    Entry(("lr", "learning_rate_init"), "Bengio 2012, section 3.1.1: 0.01", "sgd's usual step size", "medium", 0.01, 1e-3, 0.1, log=True, given=SGD, scalings=(Scaling("batch_size", 64, 1.0),)),
    Entry(("lr", "learning_rate_init"), "scikit-learn's default; Kingma and Ba 2015, Algorithm 1", "adam's usual step size", "high", 1e-3, 3e-4, 1e-2, log=True, given=ADAM_OR_UNSAID, scalings=(Scaling("batch_size", 64, 0.5),)),
    Entry(("schedule", "learning_rate"), "scikit-learn's default; it acts with sgd only", "the default schedule", "medium",
          worth={"constant": 1.0, "adaptive": 1.0, "invscaling": 0.3}),
    Entry(("epochs", "max_iter"), "scikit-learn's default: 200", "the default length", "high", 200, 100, 500, log=True, reach=BUDGET),
)  # fmt: skip

INTERACTIONS = (
    Interaction(("lora",), ("lora_alpha", "r"), "{lora_alpha} about twice {r} keeps the scale", "Diffusers documentation, LoRA rank and alpha"),
    Interaction(("finetuning",), ("lr", "epochs"), "small {lr} and few {epochs}: the weights are already good", f"{_BERT}"),
    Interaction(("graph",), ("layers",), "more than 3 {layers} blur the nodes", "Kipf and Welling 2017, appendix B"),
)  # fmt: skip
