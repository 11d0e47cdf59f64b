"""Neural networks trained from scratch, by optimizer; convolutional networks for images."""

from __future__ import annotations

from tcs_hpt.evidence.knowledge._entry import BUDGET, UNSAID, Entry, Interaction, Scaling, on

ADAM = {"optimizer": ("adam", "adamw", "nadam", "radam")}
ADAM_OR_UNSAID = {"optimizer": ("adam", "adamw", "nadam", "radam", UNSAID)}
ADAMW = {"optimizer": ("adamw",)}
SGD = {"optimizer": ("sgd",)}
SQRT = (Scaling("batch_size", 64, 0.5),)
"""Adaptive step sizes grow with the root of the batch (Krizhevsky 2014, section 5; Malladi et al. 2022)."""

LR = (
    *("lr", "learning_rate", "init_lr", "lr_init", "initial_lr", "base_lr", "max_lr"),
    *("peak_lr", "lr0", "initial_learning_rate", "base_learning_rate", "step_size", "learn_rate"),
)
DROPOUT = (
    *("dropout", "dropout_rate", "dropout_prob", "drop_rate", "dropout_p", "p_drop", "hidden_dropout"),
    *("max_dropout", "mlp_dropout", "drop_prob", "dropout_ratio", "drop_out", "p_dropout", "net_dropout"),
)
DECAY = (
    "weight_decay",
    "wd",
    "l2",
    "l2_reg",
    "l2_penalty",
    "l2_lambda",
    "reg_weight",
    "weight_decay_rate",
    "l2_weight",
)
BATCH = (
    "batch_size",
    "batch",
    "train_batch_size",
    "per_device_train_batch_size",
    "minibatch_size",
    "bs",
    "mini_batch_size",
)
EPOCHS = (
    "epochs",
    "num_epochs",
    "n_epochs",
    "max_epochs",
    "num_train_epochs",
    "nb_epochs",
    "train_epochs",
    "epoch",
)
WIDTH = (
    *(
        "hidden_size",
        "width",
        "hidden_units",
        "n_units",
        "hidden_dim",
        "hidden",
        "units",
        "n_hidden",
        "num_units",
    ),
    *(
        "hidden_channels",
        "hidden_features",
        "max_units",
        "layer_size",
        "d_model",
        "mlp_hidden",
        "hidden_layer_sizes",
    ),
    *(
        "hidden_layer_size",
        "num_hidden",
        "mlp_hidden_size",
        "layer_width",
        "dim_hidden",
        "hid_dim",
        "n_neurons",
    ),
)
LAYERS = (
    *("layers", "n_layers", "num_layers", "depth", "hidden_layers", "num_hidden_layers", "n_hidden_layers"),
    *("mlp_layers", "nb_layers", "mlp_depth", "network_depth"),
)
ACTIVATION = (
    "activation",
    "act",
    "activation_fn",
    "hidden_act",
    "act_fn",
    "nonlinearity",
    "activation_function",
)
SCHEDULE = (
    "scheduler",
    "lr_scheduler",
    "lr_schedule",
    "schedule",
    "lr_scheduler_type",
    "lr_policy",
    "decay_schedule",
)

NEURAL = (
    Entry(LR, "Kingma and Ba 2015, Algorithm 1; PyTorch's default of Adam", "adam's usual step size", "high",
          1e-3, 3e-4, 1e-2, log=True, given=ADAM, scalings=SQRT),
    Entry(LR, "between 0.01 (Bengio 2012, section 3.1.1) and 0.1 at a batch of 256 (Goyal et al. 2017, section 5.1)",
          "sgd's usual step size", "medium", 0.03, 5e-3, 0.3, log=True, given=SGD,
          scalings=(Scaling("batch_size", 64, 1.0),)),
    Entry(LR, "Keras and the original lecture use 1e-3, PyTorch 1e-2", "rmsprop's usual step size", "medium",
          1e-3, 1e-4, 1e-2, log=True, given={"optimizer": ("rmsprop",)}, scalings=SQRT),
    Entry(LR, "PyTorch's default of Adagrad", "adagrad's usual step size", "medium", 1e-2, 1e-3, 0.1, log=True,
          given={"optimizer": ("adagrad",)}),
    Entry(LR, "between Adam's 1e-3 (Kingma and Ba 2015) and 0.01 (Bengio 2012, section 3.1.1)",
          "a usual step size of networks", "medium", 3e-3, 3e-4, 3e-2, log=True),
    Entry(("optimizer", "optim", "opt", "optimizer_type", "optimizer_name", "solver"),
          "Kingma and Ba 2015, abstract: requires little tuning", "adam needs the least tuning", "medium",
          worth={"adamw": 1.0, "adam": 1.0, "nadam": 0.9, "radam": 0.9, "sgd": 0.7, "rmsprop": 0.6, "lion": 0.6,
                 "lbfgs": 0.5, "adagrad": 0.4, "adamax": 0.5, "adadelta": 0.3}),
    Entry(("momentum", "sgd_momentum"), "Goyal et al. 2017, section 5.1; He et al. 2016, section 4.2",
          "the momentum nearly everyone uses", "high", 0.9, 0.8, 0.98,
          given={"optimizer": ("sgd", "rmsprop", UNSAID)}),
    on("nesterov", "nesterovs_momentum", "use_nesterov", source="Sutskever et al. 2013; scikit-learn's default",
       why="nesterov seldom hurts", off=0.7),
    Entry(("beta1", "beta_1", "adam_beta1", "beta1_adam", "b1"), "Kingma and Ba 2015, Algorithm 1", "adam's usual value", "high",
          0.9, 0.85, 0.95, given=ADAM_OR_UNSAID),
    Entry(("beta2", "beta_2", "adam_beta2", "beta2_adam", "b2"), "Kingma and Ba 2015, Algorithm 1", "adam's usual value", "high",
          0.999, 0.95, 0.9995, given=ADAM_OR_UNSAID),
    Entry(("adam_epsilon", "adam_eps", "eps", "epsilon"), "Kingma and Ba 2015, Algorithm 1", "adam's usual value", "high",
          1e-8, 1e-9, 1e-6, log=True, given=ADAM_OR_UNSAID),
    Entry(DECAY, "PyTorch's default of AdamW (Loshchilov and Hutter 2019)", "adamw's usual decay", "medium",
          1e-2, 1e-4, 0.1, log=True, zero=0.7, given=ADAMW),
    Entry(DECAY, "Goyal et al. 2017, section 5.1; Smith 2018, section 4.4, tries 1e-2 to 1e-6", "a usual light penalty", "medium",
          1e-4, 1e-6, 1e-3, log=True, zero=0.8),
    Entry(DROPOUT, "Srivastava et al. 2014, appendix A.4: keep 0.5 to 0.8 of hidden units", "a usual light dropout", "medium",
          0.2, 0.0, 0.5),
    Entry(("keep_prob", "keep_rate", "dropout_keep_prob"), "Srivastava et al. 2014, appendix A.4", "a usual light dropout", "medium",
          0.8, 0.5, 1.0),
    Entry(("input_dropout", "embedding_dropout", "embed_dropout"), "Srivastava et al. 2014, appendix A.4: keep 0.8 of the inputs",
          "a usual light dropout", "medium", 0.1, 0.0, 0.3),
    Entry(BATCH, "Bengio 2012, section 3.1.1: 32 is a good default, up to a few hundreds", "a usual batch", "medium",
          64, 16, 256, log=True),
    Entry(EPOCHS, "scikit-learn's MLP allows 200, RealMLP (Holzmüller et al. 2024) 256", "long enough to converge", "low",
          50, 20, 200, log=True, reach=BUDGET),
    Entry(WIDTH, "RealMLP (Holzmüller et al. 2024) uses 3 layers of 256", "a usual width", "medium", 256, 64, 512, log=True),
    Entry(LAYERS, "between scikit-learn's 1 and RealMLP's 3 (Holzmüller et al. 2024)", "a usual depth", "medium", 2, 1, 4),
    Entry(ACTIVATION, "scikit-learn's default; Glorot et al. 2011", "the safe nonlinearity", "medium",
          worth={"relu": 1.0, "gelu": 0.9, "silu": 0.9, "swish": 0.9, "mish": 0.9, "elu": 0.8, "selu": 0.8,
                 "leakyrelu": 0.9, "tanh": 0.6, "sigmoid": 0.2, "logistic": 0.2, "identity": 0.1, "linear": 0.1}),
    Entry(SCHEDULE, "Godbole et al. 2023 (Deep Learning Tuning Playbook), FAQ: linear or cosine", "decay helps at the end", "medium",
          worth={"cosine": 1.0, "linear": 1.0, "cosineannealing": 1.0, "onecycle": 0.9, "cosinewithrestarts": 0.8,
                 "polynomial": 0.8, "exponential": 0.7, "exp": 0.7, "step": 0.7, "plateau": 0.7, "adaptive": 0.7,
                 "constantwithwarmup": 0.6, "constant": 0.5, "const": 0.5, "none": 0.5, "invscaling": 0.3}),
    Entry(("warmup_ratio", "warmup_proportion", "warmup_fraction", "warmup_frac", "pct_warmup"),
          "RoBERTa (Liu et al. 2019, table 10) 0.06", "a usual warmup", "medium", 0.05, 0.0, 0.1),
    Entry(("warmup_epochs", "n_warmup_epochs"), "Goyal et al. 2017, section 2.2", "a usual warmup", "medium", 5, 0, 10),
    Entry(("label_smoothing", "label_smoothing_factor", "smoothing", "ls_eps"), "Szegedy et al. 2016, section 7", "the usual smoothing", "medium",
          0.1, 0.0, 0.15),
    Entry(("max_grad_norm", "grad_clip", "clip_norm", "gradient_clip_val", "clip_grad_norm", "gradient_clipping", "grad_clip_norm", "clip", "grad_norm", "max_norm"),
          "the default of Transformers' TrainingArguments", "the usual clipping", "medium", 1.0, 0.3, 5.0, log=True, zero=0.6),
    on("batch_norm", "use_batch_norm", "batchnorm", "use_bn", "bn", "use_batchnorm", source="Ioffe and Szegedy 2015, section 4", why="steadies training", off=0.6),
)  # fmt: skip

VISION = (
    Entry(LR, "He et al. 2016, section 4.2: 0.1 at a batch of 128", "sgd's step size of ResNets", "high",
          0.1, 0.02, 0.3, log=True, given=SGD, scalings=(Scaling("batch_size", 128, 1.0),)),
    Entry(("optimizer", "optim", "opt", "optimizer_type", "optimizer_name"), "He et al. 2016, section 4.2",
          "ResNets were published with sgd", "medium",
          worth={"sgd": 1.0, "adamw": 0.9, "adam": 0.8, "nadam": 0.7, "rmsprop": 0.5, "lion": 0.6, "adagrad": 0.3}),
    Entry(DECAY, "He et al. 2016, section 4.2: 1e-4; Zagoruyko and Komodakis 2016, section 3: 5e-4", "the decay of ResNets", "high",
          5e-4, 1e-4, 1e-3, log=True, zero=0.4, given=SGD),
    Entry(DROPOUT, "He et al. 2016, section 3.4: no dropout beside batch normalization", "batch normalization needs little dropout",
          "medium", 0.0, 0.0, 0.3),
    Entry(BATCH, "He et al. 2016, section 4.2", "the batch of ResNets", "high", 128, 64, 256, log=True),
    Entry(EPOCHS, "Goyal et al. 2017, section 5.1: 90; He et al. 2016, section 4.2: 164 on CIFAR-10", "as long as ResNets train",
          "medium", 90, 50, 200, log=True, reach=BUDGET),
    Entry(("kernel_size", "filter_size"), "Simonyan and Zisserman 2015, section 2.1", "small kernels suffice", "medium", 3, 3, 5),
    Entry(("mixup", "mixup_alpha"), "Zhang et al. 2018, section 3.1: 0.1 to 0.4", "the usual mixup", "medium", 0.2, 0.0, 0.4),
)  # fmt: skip

INTERACTIONS = (
    Interaction(
        ("neural",),
        ("lr", "optimizer"),
        "sgd needs 10 to 30 times the {lr} of adam",
        "He et al. 2016, section 4.2, beside Kingma and Ba 2015, Algorithm 1",
        {"optimizer": ("adam", "sgd")},
    ),
    Interaction(
        ("neural",),
        ("lr", "optimizer"),
        "sgd needs 10 to 30 times the {lr} of adamw",
        "He et al. 2016, section 4.2, beside Kingma and Ba 2015, Algorithm 1",
        {"optimizer": ("adamw", "sgd")},
    ),
    Interaction(
        ("neural",),
        ("momentum", "optimizer"),
        "{momentum} matters only with sgd",
        "Kingma and Ba 2015, Algorithm 1: Adam has its own",
        {"optimizer": ("sgd",)},
    ),
    Interaction(
        ("neural",),
        ("lr", "batch_size"),
        "a larger {batch_size} allows a larger {lr}",
        "Goyal et al. 2017, section 2.1",
    ),
    Interaction(
        ("neural",),
        ("lr", "momentum"),
        "a larger {momentum} wants a smaller {lr}",
        "Smith 2018, section 4.3",
    ),
)
