"""What each style of script lets people set, and how it reaches the script."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.importing.found import Found, Route
from tests.importing.scripts import found, script, sorted_of


def seen(item: Found) -> tuple[object, ...]:
    return item.default, item.kind, item.route.way, item.route.key


def test_argparse(tmp_path: Path) -> None:
    made = script(
        tmp_path,
        """
        import argparse
        BATCH = 32
        p = argparse.ArgumentParser()
        g = p.add_argument_group("training")
        g.add_argument("-l", "--learning-rate", type=float, default=1, help="Step size.")
        g.add_argument("--bs", type=int, default=BATCH, dest="batch_size")
        p.add_argument("--optimizer", default="adam")
        p.add_argument("--sched", choices=["cosine", "step"], default="step")
        p.add_argument("--nesterov", action=argparse.BooleanOptionalAction, default=True)
        p.add_argument("--use-bn", action="store_true")
        p.add_argument("--milestones", nargs="+", type=int, default=[1, 2])
        p.add_argument("data", nargs="?", default="data")
        args = p.parse_args()
        if args.optimizer == "sgd":
            pass
        elif args.optimizer.lower() in ("rmsprop", "lion"):
            pass
        """,
    )
    items = found(made)
    assert seen(items["learning_rate"]) == (1.0, "float", "flag", "--learning-rate")
    assert items["learning_rate"].help == "Step size."
    assert seen(items["batch_size"]) == (32, "int", "flag", "--bs")
    assert items["optimizer"].choices == ("adam", "sgd", "rmsprop", "lion")
    assert items["optimizer"].guessed_choices
    assert items["sched"].choices == ("cosine", "step")
    assert items["nesterov"].route == Route("toggle", "--nesterov", "--no-nesterov")
    assert "batch" not in items  # the flag is how it is set
    assert seen(items["use_bn"]) == (False, "bool", "toggle", "--use-bn")
    assert sorted_of(made).left_out == ()


@pytest.mark.parametrize("grouped", [False, True])
def test_click(grouped: bool, tmp_path: Path) -> None:
    head = "@click.group()\ndef cli(): pass\n@cli.command()" if grouped else "@click.command()"
    made = script(
        tmp_path,
        f"""import click
{head}
@click.option("--lr", "-l", default=0.1)
@click.option("--n-layers", "layers", type=int, default=2)
@click.option("--opt", type=click.Choice(["adam", "sgd"]), default="sgd")
@click.option("--batch-norm/--no-batch-norm", default=True)
@click.option("--resume", is_flag=True)
def fit_model(lr, layers, opt, batch_norm, resume): pass
""",
    )
    items = found(made)
    assert seen(items["lr"]) == (0.1, "float", "flag", "--lr")
    assert seen(items["layers"]) == (2, "int", "flag", "--n-layers")
    assert items["opt"].choices == ("adam", "sgd")
    assert items["batch_norm"].route == Route("toggle", "--batch-norm", "--no-batch-norm")
    assert "resume" not in items
    assert sorted_of(made).prefix == (("fit-model",) if grouped else ())


TYPER = """
import typer
from enum import Enum
from typing import Annotated, Optional
from pathlib import Path
class Opt(str, Enum):
    adam = "adam"
    sgd = "sgd"
{decorator}
def train(
    lr: float = 1e-3,
    batch_size: Annotated[int, typer.Option("--batch", help="Rows.")] = 64,
    weight_decay: Optional[float] = typer.Option(0.01, help="L2."),
    optimizer: Opt = Opt.adam,
    use_bn: bool = True,
    out_dir: Path = Path("out"),
):
    pass
{end}
"""


@pytest.mark.parametrize(
    ("decorator", "end", "prefix"),
    [
        ("", "typer.run(train)", ()),
        ("app = typer.Typer()\n@app.command()", "app()", ()),
        ("app = typer.Typer()\n@app.command()\ndef other(): pass\n@app.command('fit')", "app()", ("fit",)),
    ],
)
def test_typer(decorator: str, end: str, prefix: tuple[str, ...], tmp_path: Path) -> None:
    made = script(tmp_path, TYPER.format(decorator=decorator, end=end))
    items = found(made)
    assert seen(items["lr"]) == (0.001, "float", "flag", "--lr")
    assert seen(items["batch_size"]) == (64, "int", "flag", "--batch")
    assert items["batch_size"].help == "Rows."
    assert seen(items["weight_decay"]) == (0.01, "float", "flag", "--weight-decay")
    assert items["optimizer"].choices == ("adam", "sgd")
    assert items["use_bn"].route == Route("toggle", "--use-bn", "--no-use-bn")
    assert "out_dir" not in items
    assert sorted_of(made).prefix == prefix


def test_fire(tmp_path: Path) -> None:
    made = script(
        tmp_path, "import fire\ndef train(lr=0.1, hidden_size=64, *, seed=1): pass\nfire.Fire(train)\n"
    )
    items = found(made)
    assert seen(items["hidden_size"]) == (64, "int", "flag", "--hidden_size")
    assert sorted_of(made).seed is not None
    assert items.keys() == {"lr", "hidden_size"}


def test_transformers_arguments_and_own_dataclasses(tmp_path: Path) -> None:
    made = script(
        tmp_path,
        """
        from dataclasses import dataclass, field
        from transformers import HfArgumentParser, TrainingArguments
        @dataclass
        class ModelArguments:
            model_name_or_path: str = field(metadata={"help": "Which."})
            dropout: float = field(default=0.1, metadata={"help": "Of all layers."})
        parser = HfArgumentParser((ModelArguments, TrainingArguments))
        """,
    )
    with pytest.raises(UserError, match="`--model_name_or_path`"):
        found(made)
    items = found(made, "--model_name_or_path", "bert", "--learning_rate=1e-4")
    assert seen(items["dropout"]) == (0.1, "float", "flag", "--dropout")
    assert items["dropout"].help == "Of all layers."
    assert seen(items["per_device_train_batch_size"]) == (8, "int", "flag", "--per_device_train_batch_size")
    assert "learning_rate" not in items  # the user gives it


HYDRA_STORE = """
import hydra
from dataclasses import dataclass, field
from hydra.core.config_store import ConfigStore
@dataclass
class Optim:
    lr: float = 0.1
@dataclass
class Config:
    epochs: int = 5
    optim: Optim = field(default_factory=Optim)
ConfigStore.instance().store(name="config", node=Config)
@hydra.main(version_base=None, config_name="config")
def main(cfg): pass
"""


def test_hydra_composes_groups_or_reads_the_store(tmp_path: Path) -> None:
    made = script(
        tmp_path,
        "import hydra\n@hydra.main(config_path='conf', config_name='config')\ndef main(cfg): pass\n",
        conf__config_yaml="defaults:\n  - _self_\n  - model: mlp\n  - override hydra/job_logging: none\nlr: 1e-3\nmodel:\n  width: 8\n",
        conf__model__mlp_yaml="width: 64\ndropout: 0.1\n",
    )
    items = found(made)
    assert seen(items["lr"]) == (0.001, "float", "override", "lr")
    assert seen(items["width"])[1:] == ("int", "override", "model.width")
    assert seen(items["dropout"]) == (0.1, "float", "override", "model.dropout")
    stored = found(script(tmp_path, HYDRA_STORE, name="other.py"))
    assert seen(stored["epochs"]) == (5, "int", "override", "epochs")
    assert seen(stored["lr"]) == (0.1, "float", "override", "optim.lr")


CONFIG = {
    "yaml": ("config_yaml", "optim:\n  lr: 1e-3\nepochs: 5\nrun_name: x\n"),
    "json": ("config_json", '{"optim": {"lr": 0.001}, "epochs": 5, "run_name": "x"}'),
    "toml": ("config_toml", 'epochs = 5\nrun_name = "x"\n[optim]\nlr = 1e-3\n'),
}
OPENING = {
    "flag": 'import argparse\np = argparse.ArgumentParser()\np.add_argument("--config", default="FILE")\n',
    "constant": 'CONFIG_PATH = "FILE"\nopen(CONFIG_PATH)\n',
    "in place": 'from pathlib import Path\nopen(Path(__file__).parent / "FILE")\n',
    "argument": "import sys\nopen(sys.argv[1])\n",
}


@pytest.mark.parametrize("form", CONFIG)
@pytest.mark.parametrize("way", OPENING)
def test_config_files(form: str, way: str, tmp_path: Path) -> None:
    name, content = CONFIG[form]
    file = name.replace("_", ".")
    made = script(tmp_path, OPENING[way].replace("FILE", file), **{name: content})
    arguments = [file] if way == "argument" else []
    result = sorted_of(made, *arguments)
    items = {f.name: f for f in result.candidates}
    assert items.keys() == {"lr", "epochs"}
    assert seen(items["lr"]) == (0.001, "float", "config", "optim.lr")
    assert result.config is not None
    assert result.config.format == form
    assert (result.config.flag, result.config.argument) == (
        "--config" if way == "flag" else "",
        way == "argument",
    )


def test_environment_variables(tmp_path: Path) -> None:
    made = script(
        tmp_path,
        """
        import os
        lr = float(os.environ.get("LR", "1"))
        epochs = int(os.getenv("EPOCHS", 10))
        home = os.environ.get("HOME")
        data = os.environ.get("DATA_DIR", "data")
        """,
    )
    items = found(made)
    assert items.keys() == {"lr", "epochs"}
    assert seen(items["lr"]) == (1.0, "float", "env", "LR")
    assert seen(items["epochs"]) == (10, "int", "env", "EPOCHS")


def test_shell_variables(tmp_path: Path) -> None:
    made = script(
        tmp_path,
        """\
        #!/bin/sh
        # LR=${LR:-9}
        LR=${LR:-0.01}
        : "${BATCH_SIZE:=32}"
        PYTHON=${PYTHON:-python}
        OUT=${OUT:-$(mktemp -d)}
        $PYTHON train.py --lr $LR --epochs ${EPOCHS-5}
        """,
        name="run.sh",
    )
    result = sorted_of(made)
    items = {f.name: f for f in result.candidates}
    assert seen(items["lr"]) == (0.01, "float", "env", "LR")
    assert seen(items["epochs"]) == (5, "int", "env", "EPOCHS")
    assert seen(items["batch_size"]) == (32, "int", "env", "BATCH_SIZE")
    assert result.interpreter == "PYTHON"


def test_literals_of_the_code(tmp_path: Path) -> None:
    made = script(
        tmp_path,
        """
        from dataclasses import dataclass
        LR = 2 * 1e-3
        dropout: float = 0.1
        counter = 0
        counter += 1
        OUT_DIR = "out"
        @dataclass
        class Config:
            hidden: int = 64
        class CFG:
            epochs = 5
        class Net:
            def __init__(self, num_layers=2, act="relu"): pass
        params = {"eta": 0.3, "verbosity": 0, "objective": "reg:squarederror"}
        other = dict(subsample=0.8)
        net = Net()
        opt = torch.optim.Adam(net.parameters(), weight_decay=1e-4)
        train_loader = DataLoader(a, batch_size=32)
        val_loader = DataLoader(b, batch_size=256)
        """,
    )
    items = found(made)
    targets = {f.route.key: f.default for f in items.values()}
    assert targets == {
        "LR": 0.002,
        "dropout": 0.1,
        "Config.hidden": 64,
        "CFG.epochs": 5,
        "Net.num_layers": 2,
        "params.eta": 0.3,
        "other.subsample": 0.8,
        "Adam.weight_decay": 1e-4,
    }
    assert {f.route.way for f in items.values()} == {"setting"}


def test_comments_behind_a_value_describe_it(tmp_path: Path) -> None:
    made = script(
        tmp_path,
        "from dataclasses import dataclass\nLR = 0.1  # step size, '#1'\nEPOCHS = 5  # noqa\n# of all\nNAME = '#'\n"
        "@dataclass\nclass C:\n    dropout: float = 0.1  # of all layers\n",
    )
    assert {n: f.help for n, f in found(made).items()} == {
        "lr": "step size, '#1'",
        "epochs": "",
        "dropout": "of all layers",
    }
    config = script(
        tmp_path, "open('config.yaml')", name="b.py", config_yaml="lr: 0.1   # step size\nepochs: 3\n"
    )
    assert {n: f.help for n, f in found(config).items()} == {"lr": "step size", "epochs": ""}


def test_own_reports(tmp_path: Path) -> None:
    made = script(
        tmp_path,
        """
        import tcs_hpt
        trial = tcs_hpt.current_trial()
        params = trial.params
        run(params["lr"], trial.params.get("epochs", 5))
        """,
    )
    items = found(made)
    assert seen(items["lr"]) == (None, "unknown", "report", "lr")
    assert seen(items["epochs"]) == (5, "int", "report", "epochs")


def test_equal_names_are_told_apart(tmp_path: Path) -> None:
    made = script(
        tmp_path,
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('--config', default='c.yaml')\n",
        c_yaml="gen:\n  lr: 0.1\ndisc:\n  lr: 0.2\n",
    )
    assert {n: f.route.key for n, f in found(made).items()} == {"lr": "gen.lr", "disc_lr": "disc.lr"}


@pytest.mark.parametrize(
    ("text", "name", "missing", "given"),
    [
        ("p.add_argument('data')\np.add_argument('--lr', default=0.1)", "train.py", "`data`", ["x"]),
        ("p.add_argument('--data', required=True)", "train.py", "`--data`", ["--data", "x"]),
        ("p.add_argument('--v', action='store_true')\np.add_argument('data')", "train.py", "`data`", ["--v", "x"]),
        ("import click\n@click.command()\n@click.argument('data')\ndef f(data): pass", "train.py", "`data`", ["x"]),
        ("import typer\ndef f(data: str, lr: float = 0.1): pass\ntyper.run(f)", "train.py", "`data`", ["x"]),
        ("python train.py $1 --lr ${LR:-0.1}", "run.sh", "`$1`", ["x"]),
        ("import sys\nlr = 0.1\nopen(sys.argv[1])", "train.py", "`sys.argv[1]`", ["x"]),
    ],
)  # fmt: skip
def test_an_argument_that_must_be_given(
    text: str, name: str, missing: str, given: list[str], tmp_path: Path
) -> None:
    made = script(tmp_path, text, name=name)
    with pytest.raises(UserError) as caught:
        sorted_of(made)
    assert missing in caught.value.message
    assert f"tcs-hpt init {name} -- " in caught.value.hint
    sorted_of(made, *given)
