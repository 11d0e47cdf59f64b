"""A model of Transformers in this process: the research backend, which knows the logits of what it writes.

How a request is answered, and why:

- Tokens are chosen by `Sampler`, so that temperature, seed and grammar are ours, the caller's random state is left
  alone, and the model's own generation settings (a repetition penalty, say) do not change the scores that are reported.
- The leading system messages of a request are its fixed part. It is always evaluated by itself, and the rest on top
  of a copy; the copy of what was kept has the same bits as one that was just made, so keeping it, one per lane,
  changes no answer. Only plain attention caches are kept: states of linear attention cannot always be continued.
- A thinking model is told to answer at once, because thoughts take minutes on a CPU; `think=True` lets it think where
  no schema is given. Under a schema the answer begins with the first token.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from tcs_hpt.errors import ModelError, ModelUnavailable
from tcs_hpt.llm._base import ChatReply, ChatRequest, Token
from tcs_hpt.llm._memory import MIB, HeldMemory
from tcs_hpt.llm._thoughts import split_thoughts
from tcs_hpt.llm.llama_cpp import SPIN_COUNT
from tcs_hpt.llm.machine import ignores_memory, main_memory

if TYPE_CHECKING:
    from tcs_hpt.llm._chat_template import RenderedPrompt
    from tcs_hpt.llm._constrained import SchemaCompiler
    from tcs_hpt.llm._sampling import Sampler

LANES = 2
"""Prompt prefixes that stay evaluated at the same time; two agents speak in turn."""
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""What a tokenizer shows for a character that is not complete yet."""


def require_engine() -> None:
    """Import torch, Transformers and llguidance.

    Raises:
        ModelUnavailable: One of them is not installed.
    """
    # Torch's libgomp reads it once, when it is loaded; trials must not inherit it. With its own 300,000 a model writes
    # ten times slower while trials keep the cores busy, and no faster otherwise.
    ours = not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys()
    if ours:
        os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT
    try:
        import llguidance  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise ModelUnavailable(
            f"the Transformers engine cannot be imported: {error}",
            hint="Run `pip install 'tcs-hpt[transformers]'`.",
        ) from error
    finally:
        if ours:
            del os.environ["GOMP_SPINCOUNT"]


class TransformersModel:
    """A causal language model of Transformers in this process.

    The same request gives the same text on the same machine and device. Requests are answered one after the other;
    Ctrl-C interrupts between two layers. With `logprobs`, every token of the answer is told with its raw logit and its
    log probability before temperature and grammar; the token that ends an answer is not among them.

    Args:
        source: A folder, a GGUF file (its weights are dequantized), or a name on the Hugging Face Hub, with `@` and a
            commit behind it if it shall not be the newest.
        name: How the user would name it; `transformers:` and the source unless given.
        device: `auto` (CUDA, else Apple's GPU, else the CPU), or one by its torch name.
        dtype: Number format of the weights: `auto`, `float32`, `bfloat16` or `float16`. `auto` is float32 on a CPU,
            else what the checkpoint was saved in (a GGUF file: bfloat16).
        top_p: Draw only among the likeliest tokens that together have this probability.
        think: Whether a thinking model may think before an answer without schema; it needs the `max_tokens` for it.
        trust_remote_code: Whether Python code that comes with the model may be run.
        ignore_memory: Whether a model that seems too large for the memory is loaded all the same; by default what the
            environment variable TCS_HPT_IGNORE_MEMORY says.

    Raises:
        ModelUnavailable: A package is missing, or the model cannot be found, fetched, or held in memory.
    """

    def __init__(
        self,
        source: str,
        *,
        name: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        top_p: float = 0.95,
        think: bool = False,
        trust_remote_code: bool = False,
        ignore_memory: bool | None = None,
    ) -> None:
        require_engine()
        from tcs_hpt.llm import _weights
        from tcs_hpt.llm._chat_template import ChatTemplate

        self._name = name or f"transformers:{source}"
        self._top_p = top_p
        self._think = think
        self._device = _weights.choose_device(device)
        self._memory = HeldMemory()
        with self._memory.loading():
            self._model, self._tokenizer = _weights.load(
                source,
                name=self._name,
                device=self._device,
                dtype=dtype,
                trust_remote_code=trust_remote_code,
                ignore_memory=ignores_memory() if ignore_memory is None else ignore_memory,
            )
        self.commit: str = getattr(self._model.config, "_commit_hash", None) or ""
        """Of the files on the Hugging Face Hub; empty for those of a folder."""
        self._may_rest = self._device.type == "cuda" and _weights.can_move(self._model)
        self._resting = False
        self._ends = _ends(self._model, self._tokenizer)
        # Whatever is set here would be merged into every call and change the scores before they are seen.
        self._model.generation_config = _settings(None)
        text_config = self._model.config.get_text_config()
        self._vocabulary = int(text_config.vocab_size)
        self._window: int | None = getattr(text_config, "max_position_embeddings", None)
        self._template = ChatTemplate(self._tokenizer, self._name)
        self._schemas: SchemaCompiler | None = None
        self._prefixes: dict[str, tuple[tuple[int, ...], Any]] = {}
        """By lane, the fixed part of its last prompt and the evaluated state of it; the newest last."""
        self._closed = threading.Event()

    @property
    def name(self) -> str:
        """How the user would name it."""
        return self._name

    def complete(self, request: ChatRequest) -> ChatReply:
        """Answer one request.

        Raises:
            ModelError: The prompt is longer than the model's window, the schema cannot be enforced, the memory
                does not suffice, or the model is closed.
        """
        from tcs_hpt.llm._sampling import Sampler

        started = time.perf_counter()
        self._require_open()
        constrained = request.schema is not None
        prompt = self._template.render(request.messages, think=self._think and not constrained)
        room = self._room(len(prompt.ids), request.max_tokens)
        sampler = Sampler(
            temperature=request.temperature,
            top_p=self._top_p,
            seed=request.seed,
            ends=self._ends,
            grammar=self._compiler().compile(request.schema) if request.schema is not None else None,
            scored=request.logprobs,
            check=self._require_open,
        )
        with self._memory.answering():
            self._generate(request.lane, prompt, sampler, room)
        return self._reply(prompt, sampler, seconds=time.perf_counter() - started)

    def token_count(self, text: str) -> int:
        """How many tokens the model's own tokenizer makes of a text."""
        self._require_open()
        return len(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def rest(self) -> None:
        """Move the weights from a CUDA device to the host's memory, until the next request; elsewhere nothing.

        What CUDA itself holds for the process (some hundred MB) stays. Quantized checkpoints stay too, and so do weights
        for which the host has no room: the trial then has less of the device, but nobody ends this process. Never fails.
        """
        if not self._may_rest or self._resting or self._closed.is_set():
            return
        self._prefixes.clear()
        weights = sum(p.numel() * p.element_size() for p in self._model.parameters())
        if weights < main_memory()[1]:
            self._resting = True  # also when only a part has moved: the next request brings all of it back
            with contextlib.suppress(RuntimeError, MemoryError):  # what CUDA and the host's allocator raise
                self._model.to("cpu")
        _free_device_memory()

    def close(self) -> None:
        """Interrupt what is running and release the memory; calling it twice is fine."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._prefixes.clear()
        self._model = self._tokenizer = self._schemas = None
        gc.collect()
        _free_device_memory()

    def _generate(self, lane: str, prompt: RenderedPrompt, sampler: Sampler, room: int) -> None:
        import torch
        from transformers import LogitsProcessorList, StoppingCriteriaList

        model = self._model
        try:
            if self._resting:
                model.to(self._device)
                self._resting = False
            model.generate(
                torch.tensor([prompt.ids], device=model.device),
                generation_config=_settings(room),
                logits_processor=LogitsProcessorList([sampler]),
                stopping_criteria=StoppingCriteriaList([sampler.stop]),
                past_key_values=self._evaluated(model, lane, prompt.ids[: prompt.fixed]),
            )
        except (RuntimeError, MemoryError) as error:  # CUDA, MPS and the CPU's allocator each raise their own
            self._prefixes.clear()
            first = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise ModelError(
                f"{self._name} failed on {self._device} with a prompt of {len(prompt.ids)} tokens: {first}",
                hint="If memory ran out, end other programs on the device or choose a smaller model.",
            ) from error

    def _evaluated(self, model: Any, lane: str, fixed: tuple[int, ...]) -> Any:
        """A fresh copy of the state after a prompt's fixed part; None if there is none to keep."""
        import torch
        from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

        if not fixed:
            return None
        known, state = self._prefixes.pop(lane, ((), None))
        if known != fixed:
            del state  # before the next one is made
            # The one new token is chosen but not evaluated: the state holds the fixed part only.
            made = model.generate(
                torch.tensor([fixed], device=model.device),
                generation_config=_settings(1, return_dict_in_generate=True),
            )
            state = getattr(made, "past_key_values", None)
            plain = {DynamicLayer, DynamicSlidingWindowLayer}
            if not {type(layer) for layer in getattr(state, "layers", [None])} <= plain:
                state = None
        self._prefixes[lane] = fixed, state
        while len(self._prefixes) > LANES:
            del self._prefixes[next(iter(self._prefixes))]
        return copy.deepcopy(state)

    def _room(self, prompt_tokens: int, wanted: int) -> int:
        if self._window is None:
            return max(1, wanted)
        if prompt_tokens >= self._window:
            raise ModelError(
                f"the prompt has {prompt_tokens} tokens, and {self._name} reads at most {self._window}",
                hint="Shorten the prompt (the report's token budget), or choose a model with a larger window.",
            )
        return max(1, min(wanted, self._window - prompt_tokens))

    def _compiler(self) -> SchemaCompiler:
        if self._schemas is None:
            from tcs_hpt.llm._constrained import SchemaCompiler

            self._schemas = SchemaCompiler(self._tokenizer, self._vocabulary, sorted(self._ends))
        return self._schemas

    def _reply(self, prompt: RenderedPrompt, sampler: Sampler, *, seconds: float) -> ChatReply:
        self._require_open()
        text = self._decode(sampler.ids)
        answer, thoughts = split_thoughts(prompt.opening + text)
        tokens: tuple[Token, ...] = ()
        if sampler.scores:
            tokens = tuple(
                Token(piece, logprob, logit)
                for piece, (logprob, logit) in zip(self._pieces(sampler.ids), sampler.scores, strict=True)
            )
        return ChatReply(
            text=answer,
            thoughts=thoughts,
            prompt_tokens=len(prompt.ids),
            completion_tokens=sampler.drawn,
            seconds=seconds,
            memory_mb=self._memory_mb(),
            finish_reason="stop" if sampler.ended else "length",
            tokens=_behind_thoughts(tokens, text, answer) if thoughts else tokens,
        )

    def _memory_mb(self) -> float | None:
        """What it holds, of the main memory or of a CUDA device; other devices do not say."""
        if self._device.type == "cuda":
            import torch

            return torch.cuda.max_memory_allocated(self._device) / MIB
        return self._memory.mb if self._device.type == "cpu" else None

    def _decode(self, ids: list[int]) -> str:
        # Thinking tags are special tokens in some models, so special tokens are shown.
        return str(self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def _pieces(self, ids: list[int]) -> list[str]:
        """What each token adds to the text; a character in several tokens belongs to the last of them."""
        pieces: list[str] = []
        shown = 0
        for count in range(1, len(ids) + 1):
            text = self._decode(ids[:count])
            if text.endswith(REPLACEMENT) and count < len(ids):
                pieces.append("")
                continue
            pieces.append(text[shown:])
            shown = len(text)
        return pieces

    def _require_open(self) -> None:
        if self._closed.is_set():
            raise ModelError(f"{self._name} is closed", hint="Open the model again.")


def _settings(new_tokens: int | None, **more: Any) -> Any:
    """How `generate` works: plainly, with everything else left to the sampler."""
    import transformers

    make: Any = transformers.GenerationConfig
    return make(max_new_tokens=new_tokens, do_sample=False, **more)


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """Every token that ends an answer, by the model's settings or the tokenizer's."""
    ends: set[int] = set()
    for ids in (model.generation_config.eos_token_id, tokenizer.eos_token_id):
        if ids is not None:
            ends |= set(ids) if isinstance(ids, list) else {int(ids)}
    return frozenset(ends)


def _behind_thoughts(tokens: tuple[Token, ...], text: str, answer: str) -> tuple[Token, ...]:
    """The tokens that make up the answer; a token that reaches over its beginning is cut there."""
    start = text.rfind(answer) if answer else -1
    if start < 0:
        return ()
    kept: list[Token] = []
    end = 0
    for token in tokens:
        begin, end = end, end + len(token.text)
        if end > start:
            kept.append(Token(token.text[max(0, start - begin) :], token.logprob, token.logit))
    return tuple(kept)


def _free_device_memory() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
