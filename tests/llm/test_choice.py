from __future__ import annotations

import pytest

from tcs_hpt.llm.choice import better, choose
from tcs_hpt.llm.machine import Gpu, Machine, OllamaState
from tcs_hpt.llm.models import LIBRARY
from tcs_hpt.llm.ollama import InstalledModel

GB = 10**9
LAPTOP = Machine(cores=4, memory_total=16 * GB, memory_available=12 * GB)
TWO_CORES = Machine(cores=2, memory_total=8 * GB, memory_available=6 * GB)
SMALL_GPU = Machine(8, 32 * GB, 24 * GB, gpus=(Gpu("RTX 3060", 12 * GB, 8 * GB),))
LARGE_GPU = Machine(16, 128 * GB, 100 * GB, gpus=(Gpu("H200", 150 * GB, 149 * GB),))
TWO_GPUS = Machine(16, 64 * GB, 8 * GB, gpus=(Gpu("A", 16 * GB, 12 * GB), Gpu("B", 16 * GB, 12 * GB)))
MAC = Machine(8, 24 * GB, 18 * GB, unified=True)


def having(*names: str, loaded: tuple[str, ...] = (), local: bool = True) -> OllamaState:
    models = tuple(InstalledModel(name, 1, "", "") for name in names)
    return OllamaState("0.12.6", models, loaded=loaded, local=local)


ALL = having(*LIBRARY)


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        (TWO_CORES, "ollama:qwen2.5-coder:1.5b"),
        (LAPTOP, "ollama:qwen3:4b-instruct"),
        (SMALL_GPU, "ollama:qwen2.5-coder:7b"),
        (LARGE_GPU, "ollama:qwen2.5-coder:32b"),
        (TWO_GPUS, "ollama:qwen2.5-coder:32b"),
        (MAC, "ollama:phi4-reasoning:14b"),
    ],
)
def test_the_best_known_model_that_suits_the_machine(machine: Machine, name: str) -> None:
    assert choose(machine, ALL).name == name


@pytest.mark.parametrize(
    ("installed", "name"),
    [
        # the paper's before larger ones that are not; its direct one before the one that thinks
        (("qwen3:8b", "phi4-reasoning:14b"), "phi4-reasoning:14b"),
        (("phi4-reasoning:14b", "qwen2.5-coder:32b"), "qwen2.5-coder:32b"),
        # the larger, but of like size the one that answers directly
        (("gemma3:1b", "gemma3:4b"), "gemma3:4b"),
        (("qwen3:8b", "qwen2.5-coder:7b"), "qwen2.5-coder:7b"),
        # one that must think after all others
        (("qwen3:4b", "qwen3:0.6b"), "qwen3:0.6b"),
        # under another tag of the same weights
        (("qwen2.5-coder:latest", "gemma3:1b"), "qwen2.5-coder:latest"),
    ],
)
def test_the_order_on_a_machine_that_holds_all(installed: tuple[str, ...], name: str) -> None:
    for names in (installed, installed[::-1]):
        assert choose(LARGE_GPU, having(*names)).name == f"ollama:{name}"


def test_without_a_server_the_embedded_model_answers() -> None:
    choice = choose(LARGE_GPU, None)
    assert choice.name == "embedded:smollm2-135m"
    assert "No Ollama server answers" in choice.reason


def test_a_server_without_models_or_out_of_order_is_named() -> None:
    assert "has no models yet" in choose(LAPTOP, having()).reason
    broken = choose(LAPTOP, OllamaState("0.1.2", problem="no client. Run `pip install it`."))
    assert broken.name == "embedded:smollm2-135m"
    assert "(0.1.2) cannot be used: no client. Run `pip install it`. So the embedded" in broken.reason


def test_unknown_models_are_named_and_not_taken() -> None:
    choice = choose(LARGE_GPU, having("mistral:latest", "nomic-embed-text:latest"))
    assert choice.name == "embedded:smollm2-135m"
    assert "mistral:latest, nomic-embed-text:latest" in choice.reason
    assert "can be named, as ollama:NAME" in choice.reason
    beside = choose(LARGE_GPU, having("mistral:latest", "gemma3:1b"))
    assert beside.name == "ollama:gemma3:1b"
    assert "mistral:latest" in beside.reason
    assert "its only known model that suits" in beside.reason


def test_a_long_list_is_cut() -> None:
    reason = choose(LAPTOP, having(*(f"model{n}:latest" for n in range(9)))).reason
    assert "model3:latest and 5 more" in reason
    assert "model4" not in reason


def test_what_does_not_fit_is_named_and_not_taken() -> None:
    choice = choose(LAPTOP, having("qwen2.5-coder:32b", "gemma3:1b"))
    assert choice.name == "ollama:gemma3:1b"
    assert "More than the memory that is free: qwen2.5-coder:32b." in choice.reason
    none = choose(LAPTOP, having("qwen2.5-coder:32b"))
    assert none.name == "embedded:smollm2-135m"
    assert "qwen2.5-coder:32b" in none.reason


def test_a_loaded_model_has_its_memory_already() -> None:
    full = Machine(cores=8, memory_total=24 * GB, memory_available=1 * GB)
    assert choose(full, having("qwen2.5-coder:7b")).name == "embedded:smollm2-135m"
    loaded = having("qwen2.5-coder:7b", loaded=("qwen2.5-coder:7b",))
    assert choose(full, loaded).name == "ollama:qwen2.5-coder:7b"


def test_what_would_be_slow_is_taken_only_without_a_quick_one() -> None:
    # Both fit into the memory, but a processor of two cores takes minutes for the larger ones.
    quick = choose(TWO_CORES, having("qwen2.5-coder:7b", "gemma3:1b"))
    assert quick.name == "ollama:gemma3:1b"
    assert "May take minutes per answer here: qwen2.5-coder:7b." in quick.reason
    slow = choose(TWO_CORES, having("qwen2.5-coder:7b", "phi4-mini:3.8b"))
    assert slow.name == "ollama:phi4-mini:3.8b"
    assert "may take minutes" in slow.reason
    assert "minutes" not in choose(LARGE_GPU, having("qwen2.5-coder:7b")).reason


def test_the_memory_of_another_machine_is_not_ours() -> None:
    remote = having("qwen2.5-coder:32b", "gemma3:1b", local=False)
    choice = choose(TWO_CORES, remote)
    assert choice.name == "ollama:qwen2.5-coder:32b"
    assert "More than" not in choice.reason
    assert better(TWO_CORES, remote) is None


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        (TWO_CORES, "qwen2.5-coder:1.5b"),
        (SMALL_GPU, "qwen2.5-coder:7b"),
        (LARGE_GPU, "qwen2.5-coder:32b"),
    ],
)
def test_what_would_be_better(machine: Machine, name: str) -> None:
    for server in (None, having(), having("qwen3:0.6b", "mistral:latest")):
        model = better(machine, server)
        assert model is not None
        assert model.name == name
        # and when it is there, it is what auto takes, and nothing is better
        assert choose(machine, having(name)).name == f"ollama:{name}"
        assert better(machine, having(name)) is None


def test_a_small_model_is_not_taken_before_the_large_one_that_is_loaded() -> None:
    busy = Machine(8, 32 * GB, 4 * GB, gpus=(Gpu("RTX 3090", 25 * GB, 2 * GB),))
    server = having("qwen2.5-coder:32b", "gemma3:1b", loaded=("qwen2.5-coder:32b",))
    assert choose(busy, server).name == "ollama:qwen2.5-coder:32b"


def test_nothing_is_better_than_what_is_loaded_or_where_nothing_fits() -> None:
    busy = Machine(8, 32 * GB, 4 * GB, gpus=(Gpu("RTX 3090", 25 * GB, 2 * GB),))
    loaded = having("qwen2.5-coder:32b", loaded=("qwen2.5-coder:32b",))
    assert choose(busy, loaded).name == "ollama:qwen2.5-coder:32b"
    assert better(Machine(2, 2 * GB, GB), None) is None
