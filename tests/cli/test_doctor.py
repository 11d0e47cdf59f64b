from __future__ import annotations

import json
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tcs_hpt.cli._findings import Facts, Finding, closing, findings
from tcs_hpt.cli.app import app
from tcs_hpt.cli.doctor import examine
from tcs_hpt.experiments.extras import missing_extras
from tcs_hpt.llm.machine import Gpu, Machine, OllamaState
from tcs_hpt.llm.ollama import InstalledModel
from tcs_hpt.store import Store
from tcs_hpt.testing.ollama_server import OllamaServer, StubModel

GB = 10**9
run = CliRunner().invoke

FACTS = Facts(
    version="1.2.3",
    python="3.11.9",
    system="Linux x86_64",
    machine=Machine(cores=2, memory_total=16 * GB, memory_available=10 * GB),
    engines={"xllamacpp": "2026.10", "ollama": "0.6.3", "httpx": "0.28", "transformers": None, "torch": None},
    missing_extras={},
    models_folder="/models",
    disk_free=50 * GB,
    files=("smollm2-135m",),
    server=None,
    store="/data/studies.db",
    studies=3,
)
GPU_24 = Machine(8, 64 * GB, 50 * GB, gpus=(Gpu("RTX 4090", 25 * GB, 24 * GB),))


def having(*names: str, **more: object) -> OllamaState:
    models = tuple(InstalledModel(name, 1, "", "") for name in names)
    return replace(OllamaState("0.12.6", models), **more)  # type: ignore[arg-type]


def of(facts: Facts, topic: str) -> Finding:
    found = [finding for finding in findings(facts) if finding.topic == topic]
    assert len(found) == 1, f"{topic}: {found}"
    return found[0]


def topics(facts: Facts) -> list[str]:
    return [finding.topic for finding in findings(facts)]


# -- findings -----------------------------------------------------------------------------------------------


def test_a_newcomers_machine() -> None:
    assert topics(FACTS) == [
        "processor",
        "memory",
        "GPU",
        "disk",
        "engines",
        "Ollama",
        "studies",
        "model",
        "better",
    ]
    assert {finding.level for finding in findings(FACTS)} == {"ok", "note"}
    assert of(FACTS, "memory").text == "10.0 GB of 16.0 GB free"
    assert of(FACTS, "engines").text == "xllamacpp 2026.10, ollama 0.6.3, httpx 0.28"
    assert of(FACTS, "model").text.startswith(
        "--model auto uses embedded:smollm2-135m. No Ollama server answers"
    )
    assert "fetched at first use" not in of(FACTS, "model").text
    assert closing(findings(FACTS)) == "Tuning works here: tcs-hpt tune mlp_digits"


def test_what_suits_a_small_machine_needs_no_server() -> None:
    # Ollama's model for it is the same one.
    better = of(FACTS, "better")
    assert better.commands == (
        "tcs-hpt models pull embedded:qwen2.5-coder-1.5b",
        "tcs-hpt tune TASK --model embedded:qwen2.5-coder-1.5b",
    )
    here = replace(FACTS, files=("smollm2-135m", "qwen2.5-coder-1.5b"))
    assert of(here, "better").commands == ("tcs-hpt tune TASK --model embedded:qwen2.5-coder-1.5b",)


def test_what_suits_a_large_gpu_and_how_to_get_it() -> None:
    facts = replace(FACTS, machine=GPU_24)
    better = of(facts, "better")
    assert "ollama:qwen2.5-coder:32b (19.9 GB) suits this machine" in better.text
    assert "The paper's results are from it." in better.text
    assert "https://ollama.com/download" in better.advice
    assert better.commands == ("tcs-hpt models pull ollama:qwen2.5-coder:32b",)
    assert "needs no server" in of(facts, "or").text
    stopped = replace(facts, ollama_program=True)
    assert of(stopped, "better").commands == ("ollama serve", "tcs-hpt models pull ollama:qwen2.5-coder:32b")
    assert of(stopped, "Ollama").commands == ("ollama serve",)
    running = replace(facts, server=having("gemma3:1b"))
    assert of(running, "better").commands == ("tcs-hpt models pull ollama:qwen2.5-coder:32b",)
    assert "or" not in topics(running)
    broken = replace(facts, server=having(problem="no client"))
    assert "First mend" in of(broken, "better").advice


def test_nothing_is_advised_where_the_best_is_here_or_nothing_is_known() -> None:
    best = replace(FACTS, machine=GPU_24, server=having("qwen2.5-coder:32b"))
    assert "better" not in topics(best)
    assert of(best, "model").text.startswith("--model auto uses ollama:qwen2.5-coder:32b. The Ollama")
    assert "better" not in topics(replace(FACTS, server=having("gemma3:1b", local=False)))


def test_the_server_is_described() -> None:
    server = having("gemma3:1b", "mistral:latest", loaded=("gemma3:1b",))
    assert of(replace(FACTS, server=server), "Ollama").text == (
        "0.12.6 has gemma3:1b, mistral:latest; loaded now: gemma3:1b"
    )
    assert "another machine" in of(replace(FACTS, server=replace(server, local=False)), "Ollama").text
    assert "no models" in of(replace(FACTS, server=having()), "Ollama").text
    broken = of(replace(FACTS, server=having(problem="no client")), "Ollama")
    assert (broken.level, broken.text) == ("warning", "0.12.6 answers, but: no client")
    unasked = of(replace(FACTS, server_problem="`x` is not the address of a server"), "Ollama")
    assert unasked.level == "warning"


def test_an_address_that_is_none_is_what_auto_stops_over() -> None:
    facts = replace(FACTS, machine=GPU_24, server_problem="`x` is not the address of a server")
    model = of(facts, "model")
    assert model.level == "warning"
    assert "correct or unset OLLAMA_HOST" in model.text
    assert model.commands == ("tcs-hpt tune mlp_digits --model embedded:smollm2-135m",)
    assert closing(findings(facts)) == f"Tuning works here with a model that is named: {model.commands[0]}"
    assert not {"better", "or"} & set(topics(facts))  # nothing to install: first the address
    bare = replace(facts, engines=dict.fromkeys(FACTS.engines))
    assert of(bare, "model").commands == ()
    assert closing(findings(bare)).endswith("--method expert")


def test_a_models_folder_that_cannot_be_read_is_named() -> None:
    facts = replace(FACTS, disk_free=None, files=(), models_problem="Permission denied")
    assert "/models cannot be read: Permission denied" in of(facts, "disk").text
    assert "TCS_HPT_MODELS_DIR" in of(facts, "disk").advice
    assert of(facts, "model").level == "warning"
    with_server = replace(facts, server=having("gemma3:1b"))
    assert of(with_server, "model").level == "ok"


def test_without_any_model_tuning_works_without_one() -> None:
    facts = replace(FACTS, engines=dict.fromkeys(FACTS.engines))
    model = of(facts, "model")
    assert model.level == "warning"
    assert model.commands == ("pip install 'tcs-hpt[embedded]'",)
    assert of(facts, "engines").text == "none"
    assert "or" not in topics(facts)
    assert closing(findings(facts)).endswith("--method expert")
    # an Ollama model needs no engine here
    assert of(replace(facts, server=having("gemma3:1b")), "model").level == "ok"


def test_short_memory_and_disk_are_warned_of() -> None:
    short = replace(FACTS, machine=Machine(2, 2 * GB, GB // 2), disk_free=GB // 2)
    assert of(short, "memory").level == of(short, "disk").level == of(short, "model").level == "warning"
    assert "TCS_HPT_MODELS_DIR" in of(short, "disk").advice


def test_a_model_that_is_not_here_yet_is_said_to_be_fetched() -> None:
    assert "It is fetched at first use (98 MB)." in of(replace(FACTS, files=()), "model").text


def test_a_gpu_that_pytorch_cannot_use_is_warned_of() -> None:
    facts = replace(FACTS, machine=GPU_24, engines=FACTS.engines | {"torch": "2.13.0+cpu"})
    assert of(facts, "GPU").text == "RTX 4090, 24.0 GB of 25.0 GB free"
    assert of(facts, "PyTorch").level == "warning"
    assert "PyTorch" not in topics(replace(facts, engines=FACTS.engines | {"torch": "2.13.0+cu130"}))
    assert "PyTorch" not in topics(replace(facts, machine=FACTS.machine))
    apple = replace(FACTS, machine=Machine(8, 16 * GB, 10 * GB, unified=True))
    assert "Apple" in of(apple, "GPU").text


def test_missing_extras_come_with_one_command() -> None:
    facts = replace(FACTS, missing_extras={"gp": ("torch",), "newest": ("something",)})
    extras = of(facts, "extras")
    assert extras.text == "not installed: gp (method gp), newest"
    assert extras.commands == ("pip install 'tcs-hpt[gp,newest]'",)


def test_only_a_store_that_cannot_be_opened_is_an_error() -> None:
    facts = replace(FACTS, store_problem="it is locked")
    assert of(facts, "studies").level == "error"
    assert "cannot work" in closing(findings(facts))
    assert of(replace(FACTS, studies=None), "studies").text.startswith("none yet")
    assert of(FACTS, "studies").text == "3 in /data/studies.db"


def test_a_package_for_another_system_is_not_missing_here() -> None:
    other = "linux" if sys.platform == "darwin" else "darwin"
    requirements = [
        f"here>=1; (sys_platform == '{sys.platform}') and extra == 'tabular'",
        f"elsewhere>=1; (sys_platform == '{other}') and extra == 'tabular'",
    ]
    assert missing_extras(requirements, {"here": "1.0"}.get) == {}
    assert missing_extras(requirements, lambda package: None) == {"tabular": ("here",)}


def test_extras_are_read_from_the_packages_metadata() -> None:
    installed = {"torch": "2.13", "xllamacpp": "1"}
    requirements = [
        "httpx>=0.27",
        'xllamacpp>=2026.10; extra == "embedded"',
        "torch>=2.4; extra == 'graph'",
        "torch-geometric>=2.6; extra == 'graph'",
        'psycopg[binary]>=3.2; python_version >= "3.11" and extra == "postgresql"',
        "pytest; extra == 'dev'",
        "psycopg[binary]>=3.2; extra == 'all'",
    ]
    assert missing_extras(requirements, installed.get) == {
        "graph": ("torch-geometric",),
        "postgresql": ("psycopg",),
    }


# -- the command --------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.setenv("TCS_HPT_MODELS_DIR", str(tmp_path / "not" / "there"))
    monkeypatch.setenv("TCS_HPT_STORE", str(tmp_path / "home" / "studies.db"))


def test_it_makes_and_changes_nothing(tmp_path: Path) -> None:
    done = run(app, ["doctor"])
    assert done.exit_code == 0, done.output
    assert f"none yet; the first one makes {tmp_path}/home/studies.db" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_it_counts_the_studies(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "mine.db")) as store:
        label = store.label
    for url in (label, f"sqlite:///{label}"):
        facts = examine(url)
        assert (facts.store, facts.studies, facts.store_problem) == (label, 0, "")


def test_a_store_that_cannot_be_used_ends_with_1(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    (tmp_path / "text.db").write_text("this is no database, and long enough to be told from one" * 9)
    for url in ("sqlite:studies.db", str(tmp_path / "text.db"), "mysql://host/name"):
        done = run(app, ["doctor", "--store", url])
        assert done.exit_code == 1, url
        assert "Tuning cannot work here yet" in done.stdout
        assert "x studies" in done.stdout


def test_a_folder_that_may_not_be_written_to_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    facts = examine(str(tmp_path / "file" / "studies.db"))
    assert "cannot be made" in facts.store_problem


def test_an_address_that_is_none_does_not_stop_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://no port:x")
    done = run(app, ["doctor"])
    assert done.exit_code == 0
    assert "! Ollama" in done.stdout
    assert "! model" in done.stdout
    assert "Tuning works here:" not in done.stdout
    assert json.loads(run(app, ["doctor", "--json"]).stdout)["auto"] is None


def test_a_models_folder_that_cannot_be_read_does_not_stop_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TCS_HPT_MODELS_DIR", str(tmp_path / ("x" * 300)))  # longer than any name may be
    done = run(app, ["doctor"])
    assert done.exit_code == 0, done.output
    assert "cannot be read: File name too long" in done.stdout


def test_it_sees_the_server_and_says_what_auto_would_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with OllamaServer(StubModel("gemma3:1b"), version="0.77") as server:
        monkeypatch.setenv("OLLAMA_HOST", server.host)
        done = run(app, ["doctor", "--json"])
        assert not server.loads
    told = json.loads(done.stdout)
    assert told["ok"] is True
    assert told["auto"]["name"] == "ollama:gemma3:1b"
    assert told["facts"]["server"]["version"] == "0.77"
    assert told["facts"]["machine"]["cores"] >= 1
    assert {"topic", "text", "level", "advice", "commands"} == set(told["findings"][0])


def test_commands_stay_on_one_line() -> None:
    lines = run(app, ["doctor"]).stdout.splitlines()
    commands = [line.strip() for line in lines if line.strip().startswith("$ ")]
    assert commands
    assert all(len(line) == len(line.rstrip()) for line in lines)
