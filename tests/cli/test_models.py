"""`tcs-hpt models`, and what `--pull` does for the commands that open a model."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from tcs_hpt.cli import _shared
from tcs_hpt.cli.app import app
from tcs_hpt.errors import ModelUnavailable, UserError
from tcs_hpt.llm import download
from tcs_hpt.llm.models import CATALOGUE, LIBRARY, KnownModel
from tcs_hpt.llm.opening import NotInstalled
from tcs_hpt.testing.ollama_server import OllamaServer, StubModel

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.setenv("TCS_HPT_MODELS_DIR", str(tmp_path))
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OllamaServer]:
    has = (StubModel("phi4-mini:latest"), StubModel("mistral", size=4_100_000_000, parameters="7.2B"))
    with OllamaServer(*has, library=(StubModel("qwen3:0.6b", size=400), StubModel("other:1b"))) as stub:
        monkeypatch.setenv("OLLAMA_HOST", stub.host)
        yield stub


def listed(output: str) -> dict[str, list[str]]:
    lines = [line.split() for line in output.splitlines() if line.startswith(("embedded:", "ollama:"))]
    return {line[0]: line[1:] for line in lines}


def test_list_names_every_known_model_once() -> None:
    done = run(app, ["models", "list"])
    assert done.exit_code == 0
    found = listed(done.stdout)
    assert list(found) == [m.full_name for m in (*CATALOGUE.values(), *LIBRARY.values())]
    assert found["embedded:smollm2-135m"][:6] == ["98", "MB", "787", "MB", "Apache-2.0", "no"]
    # without a server nobody knows
    assert found["ollama:qwen2.5-coder:32b"][:6] == ["19.9", "GB", "22.5", "GB", "Apache-2.0", "?"]


def test_list_says_what_an_ollama_server_has(server: OllamaServer) -> None:
    found = listed(run(app, ["models", "list"]).stdout)
    assert found["ollama:phi4-mini:3.8b"][5] == "yes"
    assert found["ollama:qwen3:0.6b"][5] == "no"
    assert list(found)[-1] == "ollama:mistral:latest"
    assert found["ollama:mistral:latest"][:4] == ["4.1", "GB", "-", "yes"]


def test_list_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = run(app, ["models", "list"]).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) == 1 + len(CATALOGUE) + len(LIBRARY)  # no name and no figure is broken


def test_list_in_a_pipe_has_one_whole_line_per_model() -> None:
    output = run(app, ["models", "list"]).stdout
    for model in (*CATALOGUE.values(), *LIBRARY.values()):
        assert any(model.full_name in line and model.description in line for line in output.splitlines())


def test_list_as_json_has_everything(server: OllamaServer) -> None:
    done = run(app, ["models", "list", "--json"])
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["ollama:phi4-reasoning:14b"] | {"description": ""} == {
        "name": "ollama:phi4-reasoning:14b",
        "backend": "ollama",
        "known": True,
        "here": False,
        "parameters": "14.7B",
        "size_bytes": 11_000_000_000,
        "memory_bytes": LIBRARY["phi4-reasoning:14b"].memory,
        "licence": "MIT",
        "thinks": "always",
        "paper": True,
        "source": "microsoft/Phi-4-reasoning",
        "description": "",
    }
    own = rows["ollama:mistral:latest"]
    assert (own["known"], own["here"], own["licence"], own["parameters"]) == (False, True, None, "7.2B")
    assert rows["embedded:smollm2-135m"]["here"] is False


def test_list_as_json_does_not_guess_without_a_server() -> None:
    rows = json.loads(run(app, ["models", "list", "--json"]).stdout)
    assert {row["here"] for row in rows if row["backend"] == "ollama"} == {None}


@pytest.mark.parametrize("name", ["smollm2-135m", "embedded:smollm2-135m"])
def test_pull_fetches_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    def fetch(model: KnownModel, folder: Path, **_: object) -> Path:
        assert model.name == "smollm2-135m"
        return folder / model.file

    monkeypatch.setattr(download, "fetch", fetch)
    done = run(app, ["models", "pull", name])
    assert done.exit_code == 0
    assert done.stdout.strip() == str(tmp_path / CATALOGUE["smollm2-135m"].file)


@pytest.mark.parametrize("name", ["qwen3:0.6b", "ollama:qwen3:0.6b", "ollama:other:1b"])
def test_pull_has_an_ollama_server_fetch_a_model(server: OllamaServer, name: str) -> None:
    done = run(app, ["models", "pull", name])
    assert done.exit_code == 0
    assert done.stdout.strip() == f"ollama:{name.removeprefix('ollama:')}"
    assert name.removeprefix("ollama:") in server.installed


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("smolm2-135m", "Did you mean embedded:smollm2-135m?"),
        ("qwen2.5-codr:7b", "Did you mean ollama:qwen2.5-coder:7b?"),
        ("mistral", "write ollama:NAME"),
        ("ollama:", "models list"),
        ("auto", "models list"),
        ("transformers:me/mine", "models list"),
    ],
)
def test_pull_of_what_cannot_be_fetched(name: str, hint: str) -> None:
    with pytest.raises(UserError, match="does not name a model that can be fetched") as caught:
        run(app, ["models", "pull", name], catch_exceptions=False)
    assert hint in caught.value.hint


def test_pull_without_a_server() -> None:
    with pytest.raises(ModelUnavailable, match="no Ollama server answers"):
        run(app, ["models", "pull", "ollama:qwen3:0.6b"], catch_exceptions=False)


def test_check_is_there() -> None:
    assert "good enough" in run(app, ["models", "check", "--help"]).stdout


# -- opening a model for a command --------------------------------------------------------------------------


class Keyboard(io.StringIO):
    """Somebody types."""

    def isatty(self) -> bool:
        return True


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal)


def test_a_person_is_asked_before_a_model_is_fetched(
    server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(question: str, *, err: bool) -> bool:
        assert err
        asked.append(question)
        return len(asked) > 1

    monkeypatch.setattr("sys.stdin", Keyboard())
    monkeypatch.setattr(typer, "confirm", answer)
    with pytest.raises(NotInstalled):
        _shared.open_model("ollama:qwen3:0.6b", console(terminal=True))
    assert "qwen3:0.6b" not in server.installed
    model, _ = _shared.open_model("ollama:qwen3:0.6b", console(terminal=True))
    model.close()
    assert asked[0] == "the Ollama server does not have the model `qwen3:0.6b`. Fetch it now (0.5 GB)?"
    assert "qwen3:0.6b" in server.installed


@pytest.mark.parametrize(("typing", "terminal"), [(False, True), (True, False)])
def test_nobody_is_asked_where_nobody_looks(
    server: OllamaServer, monkeypatch: pytest.MonkeyPatch, typing: bool, terminal: bool
) -> None:
    monkeypatch.setattr("sys.stdin", Keyboard() if typing else io.StringIO())
    monkeypatch.setattr(typer, "confirm", lambda *_, **__: pytest.fail("it asked"))
    with pytest.raises(NotInstalled):
        _shared.open_model("ollama:qwen3:0.6b", console(terminal=terminal))


def test_pull_is_not_asked_about(server: OllamaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typer, "confirm", lambda *_, **__: pytest.fail("it asked"))
    model, reason = _shared.open_model("ollama:qwen3:0.6b", console(terminal=False), pull=True)
    model.close()
    assert "fetched it first" in reason


def test_tune_takes_pull(server: OllamaServer, tmp_path: Path) -> None:
    arguments = ["tune", "mlp_digits", "--profile", "smoke", "--trials", "1", "--model", "ollama:qwen3:0.6b"]
    store = ["--store", str(tmp_path / "studies.db"), "--quiet"]
    with pytest.raises(NotInstalled):
        run(app, [*arguments, *store], catch_exceptions=False)
    done = run(app, [*arguments, *store, "--pull"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "qwen3:0.6b" in server.installed


def test_a_models_folder_that_cannot_be_read_does_not_stop_the_listing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TCS_HPT_MODELS_DIR", str(tmp_path / ("x" * 300)))  # longer than any name may be
    done = run(app, ["models", "list"])
    assert done.exit_code == 0, done.output
    assert listed(done.stdout)["embedded:smollm2-135m"][5] == "?"
    with pytest.raises(ModelUnavailable, match="File name too long"):
        run(app, ["models", "pull", "smollm2-135m"], catch_exceptions=False)
