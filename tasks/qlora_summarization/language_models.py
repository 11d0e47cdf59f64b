"""The language model that is tuned: where it is found, how it is loaded, and what of it is trained."""

import os
import shutil
import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import bitsandbytes as bnb
import peft
import torch
import transformers
from huggingface_hub import HfApi
from huggingface_hub import errors as hub
from tokenizers import ByteLevelBPETokenizer

from tcs_hpt import data
from tcs_hpt.llm.models import models_dir

LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj")  # where adapters can go
LEARNING_RATES = {"full": 5e-5, "lora": 1e-3, "qlora": 1e-3, "prompt": 3e-2, "prefix": 1e-2, "ia3": 1e-2}
HUB_SECONDS = 10.0

transformers.utils.logging.disable_progress_bar()  # a trial's log is no terminal


def cache():
    """What this task keeps between trials: converted models, and the scores of untuned ones."""
    return data.cache_folder().parent / "qlora_summarization"


def find(name, data_dir):
    """A model's folder or GGUF file on this machine, else None: it may be on the Hugging Face Hub.

    `name` is a path or a name on the Hub; the Hub's owner/NAME is also looked for as a folder NAME, or a file
    NAME*.gguf, in `models/` of the data folder, in the data folder, and where tcs-hpt keeps its own models.
    """
    path = Path(name).expanduser()
    if path.exists():
        return path
    short = name.rpartition("/")[2]
    roots = [data_dir / "models", data_dir] if data_dir else []
    for root in [*roots, models_dir()]:
        if (root / short / "config.json").is_file():
            return root / short
        if files := sorted(root.glob(f"{short}*.gguf")):
            return files[0]
    return None


def identity(place):
    """What tells one state of a model's files from another, without reading them all."""
    files = sorted(place.glob("*")) if place.is_dir() else [place]
    return [[f.name, f.stat().st_size, f.stat().st_mtime_ns] for f in files if f.is_file()]


def converted(file):
    """A folder with the weights of a GGUF file at 16 bits, made once: reading the file takes ten times longer."""
    state = file.stat()
    folder = cache() / "models" / f"{file.stem}-{state.st_size}-{state.st_mtime_ns}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
        try:
            dense = transformers.GgufConfig(dequantize=True)
            model = transformers.AutoModelForCausalLM.from_pretrained(
                file.parent, gguf_file=file.name, quantization_config=dense, dtype=torch.float16
            )
            # The weights are ordinary ones now, but Transformers would refuse to write what came from a GGUF file.
            model.hf_quantizer = None
            if hasattr(model.config, "quantization_config"):
                del model.config.quantization_config
            model.save_pretrained(partial)
            transformers.AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(
                partial
            )
            os.rename(partial, folder)
        except OSError:
            if not folder.exists():  # else another trial was quicker
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def load(name, data_dir, quantize, device):
    """The untuned model on its device, its tokenizer, and what identifies its weights (None: nothing does).

    Args:
        name: As for `find`; `tiny` is a random Llama of two layers, which the caller makes with `make_tiny`.
        data_dir: The user's data folder, or None.
        quantize: Whether the linear layers get 4-bit NF4 weights, with double quantization (Dettmers et al., 2023).
        device: `cpu` or `cuda`.
    """
    place, problem = find(name, data_dir), None
    what = [str(place), identity(place)] if place else [name]
    if place is None:
        problem = hub_problem(name)
    try:
        local = place is not None or problem is not None
        source = converted(place) if place and place.suffix == ".gguf" else place or name
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, local_files_only=local)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            source,
            local_files_only=local,
            dtype=torch.float32,
            device_map={"": device},
            quantization_config=nf4(device) if quantize else None,
        )
    except (OSError, ValueError, ImportError) as error:
        if place is not None:
            raise data.DataUnavailable(f"{place} cannot be loaded: {first_line(error)}") from error
        folder = data_dir / "models" if data_dir else models_dir()
        raise data.DataUnavailable(
            f"the model {name} is not here and cannot be fetched ({first_line(problem or error)}): put its folder "
            f"or GGUF file into {folder}; `tcs-hpt models pull smollm2-135m` fetches SmolLM2-135M-Instruct"
        ) from error
    for layer in model.modules():
        if isinstance(layer, bnb.nn.Linear4bit):
            # On a CPU with AVX512-BF16, bitsandbytes 0.50 packs the weights anew when the model is evaluated, and
            # computes with 16 bits: other results than on other CPUs, and no gradient passes through that kernel.
            layer.support_avx512bf16_for_cpu = False
    if place is None:
        what.append(getattr(model.config, "_commit_hash", None))
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return model, tokenizer, what


def nf4(device):
    """How weights become 4-bit; what is computed with them has 16 bits on a GPU and 32 on a CPU."""
    return transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if device == "cuda" else torch.float32,
    )


def hub_problem(name):
    """Why the Hub cannot be asked about a model; None when it can. Transformers alone would try for half a minute."""
    try:
        HfApi().model_info(name, timeout=HUB_SECONDS)
    except (OSError, ValueError, hub.HTTPError) as error:
        return error
    return None


def first_line(error):
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def make_tiny(folder, texts):
    """A random Llama of two layers, with a tokenizer that has learnt its words from the texts. The same every time."""
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, vocab_size=600, special_tokens=["<pad>", "<end>"], show_progress=False)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, pad_token="<pad>", eos_token="<end>"
    )
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512, initializer_range=0.2,
        pad_token_id=0, bos_token_id=None, eos_token_id=1, tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def prepare(model, params):
    """The model with what the strategy trains switched on, and everything else frozen.

    `lora` and `qlora` without a single layer for adapters train nothing; the model stays as it is.
    """
    strategy = params["strategy"]
    model.requires_grad_(strategy == "full")
    if params["gradient_checkpointing"] and strategy not in ("prefix", "prompt"):  # peft: no cache, no prefix
        model.activation_checkpointing_enable()
    task, tokens = peft.TaskType.CAUSAL_LM, params["virtual_tokens"]
    if strategy == "full":
        return model
    if strategy == "prompt":
        config = peft.PromptTuningConfig(
            task_type=task, num_virtual_tokens=tokens, prompt_tuning_init="SAMPLE_VOCAB"
        )
    elif strategy == "prefix":
        config = peft.PrefixTuningConfig(task_type=task, num_virtual_tokens=tokens)
    elif strategy == "ia3":
        config = peft.IA3Config(task_type=task)
    else:
        layers = [name for name in LAYERS if params[name]]
        if not layers:
            return model
        config = peft.LoraConfig(
            task_type=task,
            r=params["r"],
            lora_alpha=params["lora_alpha"],
            lora_dropout=params["lora_dropout"],
            target_modules=layers,
        )
    return peft.get_peft_model(model, config)


@contextmanager
def unpacked(model):
    """For a while, the 4-bit layers on a CPU have their weights unpacked once, not in every call; the results are the same."""
    layers = [
        m for m in model.modules() if isinstance(m, bnb.nn.Linear4bit) and m.weight.device.type == "cpu"
    ]
    before = [vars(layer).get("forward") for layer in layers]
    for layer in layers:
        weight = bnb.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state).to(torch.float32)
        layer.forward = partial(torch.nn.functional.linear, weight=weight, bias=layer.bias)
    try:
        yield
    finally:
        for layer, forward in zip(layers, before, strict=True):
            del layer.forward
            if forward is not None:
                layer.forward = forward
