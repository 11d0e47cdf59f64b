from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tcs_hpt import bundled
from tcs_hpt.catalog import LoadedTask, list_tasks, load_task, placeholders
from tcs_hpt.errors import ManifestError, Problem, TaskError, UserError

GOOD = """
schema = 1
name = "good"
command = ["{python}", "train.py"]
[objective]
metric = "val_accuracy"
direction = "maximize"
[params.lr]
type = "float"
low = 1e-4
high = 1.0
log = true
default = 0.01
[params.optimizer]
type = "categorical"
choices = ["adam", "sgd"]
[params.momentum]
type = "float"
low = 0.0
high = 0.99
when = { optimizer = ["sgd"] }
[params.epochs]
type = "int"
low = 1
high = 40
default = 20
[fixed]
max_train = 600
[limits]
trial_seconds = 10
[profiles.quick]
limits = { trial_seconds = 5 }
"""


def write(folder: Path, text: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text("raise SystemExit('a catalogue must not run this')")
    manifest = folder / "task.toml"
    manifest.write_bytes(text if isinstance(text, bytes) else text.encode())
    return manifest


def problems(folder: Path, text: str | bytes) -> tuple[Problem, ...]:
    with pytest.raises(ManifestError) as caught:
        load_task(write(folder, text))
    for problem in caught.value.problems:
        assert str(problem) in str(caught.value)
        assert problem.fix.strip().endswith((".", "?")) or "Correct this line" in problem.fix, problem
        for raw in ("Input should", "Value error", "pydantic", "http", "Extra inputs", "Field required"):
            assert raw not in str(problem)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema = 1\nname = good\n", "line 2 is not TOML"),
        ("schema = 1\n[params.lr\n", "line 2 is not TOML"),
        ('name = "open', "line 1 is not TOML"),
        (GOOD + "[params.lr]\n", "is not TOML"),
        (b"schema = 1\nname = '\xe9'\n", "line 2 is not UTF-8 text"),
        (GOOD.encode("utf-16"), "not UTF-8 text"),
    ],
)
def test_text_that_is_not_toml(tmp_path: Path, text: str | bytes, message: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.key == ""
    assert message in problem.message


def test_an_empty_file(tmp_path: Path) -> None:
    assert [p.key for p in problems(tmp_path, "")] == ["schema", "name", "command", "objective"]


def test_a_good_manifest(tmp_path: Path) -> None:
    text = "\ufeff" + GOOD.replace("schema = 1", 'schema = 1\ntitle = "Zürich 數字"').replace("\n", "\r\n")
    loaded = load_task(write(tmp_path, text.encode()))
    assert loaded.spec.title == "Zürich 數字"
    assert list(loaded.spec.params) == ["lr", "optimizer", "momentum", "epochs"]
    assert loaded.spec.with_profile("quick").limits.trial_seconds == 5
    assert loaded.folder == tmp_path.resolve()


def test_a_profile_may_bring_a_fixed_value_for_the_command(tmp_path: Path) -> None:
    text = GOOD.replace('"train.py"]', '"train.py", "{size}"]') + 'fixed = { size = "s" }\n'
    assert load_task(write(tmp_path, text)).spec.with_profile("quick").fixed["size"] == "s"


@pytest.mark.parametrize(
    "command", ['["{python}", "-m", "nowhere"]', '["make", "train"]', '["{python}", "{script}"]']
)
def test_commands_without_a_script_of_the_folder(tmp_path: Path, command: str) -> None:
    text = GOOD.replace('["{python}", "train.py"]', command).replace("max_train = 600", 'script = "train.py"')
    assert load_task(write(tmp_path, text)).spec.name == "good"


def test_every_way_to_name_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "mine", GOOD)
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "./mine", "mine/task.toml", "mine/train.py", tmp_path / "mine", Path("mine")):
        loaded = load_task(name)
        assert (loaded.spec.name, loaded.folder) == ("good", (tmp_path / "mine").resolve())


def test_a_built_in_name_wins_over_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "mlp_digits", GOOD)
    monkeypatch.chdir(tmp_path)
    assert load_task("mlp_digits").folder == bundled.folder("tasks") / "mlp_digits"
    assert load_task("./mlp_digits").spec.name == "good"


def test_what_is_not_a_task(tmp_path: Path) -> None:
    (tmp_path / "train.py").touch()
    with pytest.raises(UserError, match=r"folder without a task.toml") as caught:
        load_task(tmp_path)
    assert "Write a task.toml beside the script" in caught.value.hint
    with pytest.raises(UserError, match="beside it") as caught:
        load_task(tmp_path / "train.py")
    assert f"tcs-hpt init {tmp_path / 'train.py'}" in caught.value.hint
    with pytest.raises(UserError, match="no file or folder"):
        load_task(tmp_path / "nowhere" / "task.toml")
    with pytest.raises(UserError, match="no task 'mlp_digit'") as caught:
        load_task("mlp_digit")
    assert "Did you mean `mlp_digits`?" in caught.value.hint
    with pytest.raises(UserError, match="'zzz'") as caught:
        load_task("zzz")
    assert "Did you mean" not in caught.value.hint
    assert "mlp_digits" in caught.value.hint


def test_a_manifest_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write(tmp_path, GOOD)

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(TaskError, match="Permission denied"):
        load_task(manifest)


@pytest.mark.parametrize("name", list_tasks())
def test_built_in_tasks_are_sound(name: str) -> None:
    loaded = load_task(name)
    assert isinstance(loaded, LoadedTask)
    assert loaded.spec.name == loaded.folder.name == name
    assert {"smoke", "quick", "paper"} <= set(loaded.spec.profiles)
    assert (loaded.folder / "README.md").is_file()
    assert all(p.default is not None and p.description for p in loaded.spec.params.values())


def test_placeholders() -> None:
    assert placeholders('--a={lr} {python} {"json": 1} {} {2}') == ["lr", "python"]


def test_bundled_folders_of_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "tcs_hpt"
    shutil.copytree(bundled.folder("tasks"), package / "_bundled" / "tasks")
    (tmp_path / "site-packages" / "prompts").mkdir()
    monkeypatch.setattr(bundled, "_PACKAGE", package)
    assert bundled.folder("tasks") == package / "_bundled" / "tasks"
    with pytest.raises(
        UserError, match="no 'prompts' folder"
    ):  # a stranger's folder of that name is not ours
        bundled.folder("prompts")
