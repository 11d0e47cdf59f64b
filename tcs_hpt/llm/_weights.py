"""From a name to weights in memory: where they are, whether they fit, and what went wrong if they do not load.

Imports torch and Transformers; import it only after `transformers_local.require_engine`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import HfApi, errors
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from tcs_hpt.errors import ModelUnavailable
from tcs_hpt.llm.machine import SHORTAGE_HINT, main_memory

hub: Any = errors
"""Also holds, unexported, the base class of its HTTP client's errors."""

MARGIN = 1.1
"""Memory that a model needs over its weights, for the prompt and what is computed on the way."""
GGUF_MARGIN = 1.6
"""The same while a GGUF file is loaded: Transformers holds its tensors beside the weights for a while."""
HUB_TIMEOUT_SECONDS = 10.0
INSTALL = "Run `pip install 'tcs-hpt[transformers]'`."


@dataclass(frozen=True)
class Place:
    """Where a model's files are."""

    folder: str
    """A folder on this machine, or a name on the Hugging Face Hub."""
    revision: str | None = None
    """Commit, tag or branch on the Hub; None for what is newest there."""
    gguf_file: str | None = None
    """A file in that folder which holds everything."""
    on_hub: bool = False


def locate(source: str) -> Place:
    """What a user's name of a model stands for; nothing is read.

    Args:
        source: A folder, a GGUF file, or a name on the Hugging Face Hub such as `Qwen/Qwen2.5-Coder-1.5B-Instruct`, with
            `@` and a commit, tag or branch behind it if it shall not be the newest.

    Raises:
        ModelUnavailable: It looks like a path and nothing is there.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return Place(str(path))
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ModelUnavailable(f"there is no model file {source}", hint="Check the path.")
        return Place(str(path.parent), gguf_file=path.name)
    if path.is_file():
        raise ModelUnavailable(
            f"{source} is a file, and only GGUF files hold a whole model",
            hint="Name the folder that it is in.",
        )
    name, _, revision = source.partition("@")
    if path.is_absolute() or source.startswith((".", "~")) or name.count("/") > 1 or "\\" in source:
        raise ModelUnavailable(f"there is no model folder {source}", hint="Check the path.")
    return Place(name, revision=revision or None, on_hub=True)


def choose_device(device: str) -> torch.device:
    """The device that `auto` means on this machine (CUDA, else Apple's GPU, else the CPU), or the one named.

    Raises:
        ModelUnavailable: The name means nothing to torch, or the device is not there.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ModelUnavailable(
            f"torch knows no device `{device}`", hint="Choose auto, cpu, cuda, cuda:1 or mps."
        ) from error
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (chosen.index or 0) >= count.get(chosen.type, 0):
        raise ModelUnavailable(
            f"there is no device `{device}` on this machine, or this torch was built without it",
            hint="Choose `auto` or `cpu`, or install a torch that was built for the device.",
        )
    return chosen


def choose_dtype(dtype: str, device: torch.device, place: Place, config: Any) -> torch.dtype:
    """The number format that weights are loaded in.

    `auto` is float32 on a CPU, where half precision is slow and rounds differently from machine to machine, bfloat16
    for a GGUF file on another device, and otherwise what the checkpoint was saved in.

    Raises:
        ModelUnavailable: The name is not one of torch's.
    """
    if dtype == "auto":
        if device.type == "cpu":
            return torch.float32
        if place.gguf_file:
            return torch.bfloat16
        saved = getattr(config, "dtype", None)
        return saved if isinstance(saved, torch.dtype) else torch.float32
    chosen = getattr(torch, dtype, None)
    if not isinstance(chosen, torch.dtype) or not chosen.is_floating_point:
        raise ModelUnavailable(
            f"`{dtype}` is not a number format for weights", hint="Choose auto, float32, bfloat16 or float16."
        )
    return chosen


def require_memory(name: str, needed: int, device: torch.device) -> None:
    """Refuse what cannot fit, before anything large is read.

    Args:
        name: Of the model, for the message.
        needed: By the model [bytes].
        device: Where it will be.

    Raises:
        ModelUnavailable: The device has less memory available.
    """
    if device.type == "cuda":
        available = int(torch.cuda.mem_get_info(device)[0])
        where = f"free on {device}"
    else:
        _, available = main_memory()
        where = "free for this process"
    if needed > available:
        raise ModelUnavailable(
            f"{name} needs about {needed / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB are {where}",
            hint="Choose a smaller model, run it from a quantized file with `embedded:PATH.gguf`, "
            f"{SHORTAGE_HINT}.",
        )


def weight_bytes(config: Any, dtype: torch.dtype, *, trust_remote_code: bool = False) -> int:
    """Size of a model's weights in that format [bytes]; builds the model without memory for its weights."""
    auto: Any = AutoModelForCausalLM
    with torch.device("meta"):
        skeleton = auto.from_config(config, trust_remote_code=trust_remote_code)
    return int(sum(p.numel() for p in skeleton.parameters())) * dtype.itemsize


def load(
    source: str,
    *,
    name: str,
    device: torch.device,
    dtype: str,
    trust_remote_code: bool,
    ignore_memory: bool = False,
) -> tuple[Any, Any]:
    """The model, on its device and ready to answer, and its tokenizer.

    Files of the Hub are not compared with a checksum known beforehand: whose commit is fixed gets what that commit
    holds, and without one the newest is taken. Files in a folder are taken as they are.

    Raises:
        ModelUnavailable: The files are missing, cannot be fetched, need more memory than there is, or are not
            a causal language model that Transformers knows.
    """
    place = locate(source)
    unreachable = _hub_problem(place.folder, place.revision) if place.on_hub else None
    arguments: dict[str, Any] = {
        "trust_remote_code": trust_remote_code,
        "local_files_only": unreachable is not None,
    }
    if place.gguf_file:
        arguments["gguf_file"] = place.gguf_file
    if place.revision:
        arguments["revision"] = place.revision
    with _translated(name, unreachable):
        config = AutoConfig.from_pretrained(place.folder, **arguments)
        chosen = choose_dtype(dtype, device, place, config)
        # Quantized checkpoints are smaller than their parameters say; they are not estimated.
        estimated = place.gguf_file or getattr(config, "quantization_config", None) is None
        if estimated and not ignore_memory:
            size = weight_bytes(config, chosen, trust_remote_code=trust_remote_code)
            margin = GGUF_MARGIN if place.gguf_file else MARGIN
            require_memory(name, int(size * margin), torch.device("cpu"))
            if device.type == "cuda":
                require_memory(name, int(size * MARGIN), device)
        tokenizer = AutoTokenizer.from_pretrained(place.folder, **arguments)
        model: Any = AutoModelForCausalLM.from_pretrained(
            place.folder, config=config, dtype=chosen, **arguments
        )
        if can_move(model):
            model = model.to(device)
    return model, tokenizer


def can_move(model: Any) -> bool:
    """Whether the weights may go from device to device; those of a quantized checkpoint stay where they were put."""
    quantization = getattr(model.config, "quantization_config", None)
    return quantization is None or getattr(quantization, "quant_method", None) == "gguf"


def _hub_problem(name: str, revision: str | None) -> Exception | None:
    """Why the Hub cannot be asked about a model; None when it can.

    Without this one question, Transformers would repeat every request that fails for half a minute, also for a
    model whose files are all here.
    """
    try:
        HfApi().model_info(name, revision=revision, timeout=HUB_TIMEOUT_SECONDS)
    except (hub.HTTPError, OSError, ValueError) as error:
        return error
    return None


@contextmanager
def _translated(name: str, unreachable: Exception | None) -> Iterator[None]:
    """Turn whatever Transformers raises on loading into one sentence."""
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ImportError, RuntimeError, MemoryError,
            struct.error, SafetensorError) as error:  # fmt: skip
        raise _unavailable(
            name, unreachable if isinstance(error, OSError) and unreachable else error
        ) from error


def _unavailable(name: str, error: BaseException) -> ModelUnavailable:
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)

    def caused_by(*types: type[BaseException]) -> bool:
        return any(isinstance(cause, types) for cause in causes)

    if caused_by(hub.GatedRepoError):
        return ModelUnavailable(
            f"{name} is gated on the Hugging Face Hub",
            hint="Accept its terms on its page, then run `hf auth login`.",
        )
    if caused_by(hub.RevisionNotFoundError):
        return ModelUnavailable(
            f"the Hugging Face Hub has no such commit, tag or branch of the model: {name}",
            hint="Check what stands behind `@`, or leave it out for the newest.",
        )
    if caused_by(hub.RepositoryNotFoundError, hub.HFValidationError):
        return ModelUnavailable(
            f"there is no {name} on the Hugging Face Hub, or it is private",
            hint="Check the name, name a folder or a GGUF file, or run `hf auth login` for a private model.",
        )
    if caused_by(hub.LocalEntryNotFoundError, hub.OfflineModeIsEnabled) or (
        caused_by(hub.HTTPError) and not caused_by(hub.HfHubHTTPError)
    ):
        return ModelUnavailable(
            f"{name} is not on this machine, and the Hugging Face Hub cannot be reached",
            hint="Connect once to have it fetched, or name a folder or a GGUF file.",
        )
    if caused_by(MemoryError, torch.OutOfMemoryError):
        return ModelUnavailable(f"{name} does not fit into memory", hint="Choose a smaller model.")
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if "trust_remote_code" in str(error):
        return ModelUnavailable(
            f"{name} brings Python code of its own, which is not run unasked",
            hint="Choose a model of a kind that Transformers has itself. From Python, and having read that code, "
            "TransformersModel(source, trust_remote_code=True) runs it.",
        )
    if isinstance(error, ImportError):
        return ModelUnavailable(f"{name} needs a package that is missing: {reason}", hint=INSTALL)
    return ModelUnavailable(
        f"Transformers {transformers.__version__} cannot load {name}: {reason}",
        hint="The files may be incomplete, or of a kind of model that it does not know.",
    )
