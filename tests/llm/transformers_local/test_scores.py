"""How tokens are drawn, and the scores that are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tcs_hpt.errors import ModelError
from tcs_hpt.llm.transformers_local import TransformersModel
from tcs_hpt.testing.models import request
from tests.llm.transformers_local.models import save_reciting_model, torch, transformers


def test_scores_are_those_of_one_pass_over_the_whole_text(folder: Path, model: TransformersModel) -> None:
    # Letters only, so that a token's text tells which token it is.
    asked = request(schema={"type": "string", "pattern": "^[a-z ]{20}$"}, logprobs=True, temperature=1.5)
    reply = model.complete(asked)
    assert "".join(token.text for token in reply.tokens) == reply.text

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    by_text = {tokenizer.decode([i]): i for i in range(len(tokenizer))}
    answer = [by_text[token.text] for token in reply.tokens]
    prompt = tokenizer.apply_chat_template(
        [m.model_dump() for m in asked.messages], add_generation_prompt=True, return_dict=True
    )["input_ids"]
    assert reply.prompt_tokens == len(prompt)
    assert reply.completion_tokens == len(answer)
    with torch.no_grad():
        llama = transformers.AutoModelForCausalLM.from_pretrained(folder)
        logits = llama(torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1].double()
    exact = [logits[i, token].item() for i, token in enumerate(answer)]
    total = [torch.logsumexp(row, 0).item() for row in logits]
    assert [token.logit for token in reply.tokens] == pytest.approx(exact, abs=1e-4)
    assert [token.logprob for token in reply.tokens] == pytest.approx(
        [score - z for score, z in zip(exact, total, strict=True)], abs=1e-4
    )
    assert max(exact) - min(exact) > 1


def test_scores_are_told_only_when_asked_for(model: TransformersModel) -> None:
    assert model.complete(request()).tokens == ()


def test_temperature_0_takes_the_likeliest_token(model: TransformersModel) -> None:
    replies = [
        model.complete(request(schema=None, max_tokens=20, temperature=0, seed=seed, logprobs=True))
        for seed in (1, 2)
    ]
    assert replies[0].text == replies[1].text
    drawn = model.complete(request(schema=None, max_tokens=20, temperature=3, logprobs=True))
    assert sum(t.logprob for t in drawn.tokens) < sum(t.logprob for t in replies[0].tokens)


def test_seeds_differ_and_leave_the_callers_random_state_alone(model: TransformersModel) -> None:
    before = torch.get_rng_state()
    texts = {
        model.complete(request(schema=None, max_tokens=20, seed=seed)).text for seed in (1, 2, -3, 2**70)
    }
    assert len(texts) == 4
    assert torch.equal(torch.get_rng_state(), before)


def test_settings_of_the_model_change_no_score(tmp_path: Path) -> None:
    folder = save_reciting_model(tmp_path, "best?")
    path = folder / "generation_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"repetition_penalty": 2.0, "do_sample": True, "top_k": 1}))
    reply = TransformersModel(str(folder)).complete(
        request("best?", schema=None, temperature=0, logprobs=True)
    )
    assert reply.text == "best?"
    assert [token.logit for token in reply.tokens] == pytest.approx([8.0] * len(reply.tokens), abs=1e-4)


def test_nothing_is_drawn_behind_the_end() -> None:
    from tcs_hpt.llm._sampling import Sampler

    sampler = Sampler(
        temperature=0, top_p=1, seed=0, ends=frozenset({1}), grammar=None, scored=True, check=lambda: None
    )
    scores = torch.tensor([[0.0, 2.0, 1.0]])
    assert sampler(scores, scores).argmax() == 1
    assert torch.equal(sampler(scores, scores.flip(1)), scores.flip(1))
    assert (sampler.ids, sampler.drawn, sampler.scores, sampler.ended) == ([], 1, [], True)


@pytest.mark.parametrize(("top_p", "drawn"), [(0.5, {0}), (0.7, {0, 1}), (1.0, {0, 1, 2})])
def test_top_p_leaves_the_likeliest_tokens(top_p: float, drawn: set[int]) -> None:
    from tcs_hpt.llm._sampling import Sampler

    sampler = Sampler(
        temperature=1, top_p=top_p, seed=0, ends=frozenset(), grammar=None, scored=False, check=lambda: None
    )
    scores = torch.tensor([[0.6, 0.3, 0.1]]).log()
    assert {int(sampler(scores, scores).argmax()) for _ in range(100)} == drawn


def test_scores_that_are_no_numbers_are_an_error() -> None:
    from tcs_hpt.llm._sampling import Sampler

    sampler = Sampler(
        temperature=1, top_p=1, seed=0, ends=frozenset(), grammar=None, scored=False, check=lambda: None
    )
    scores = torch.tensor([[0.0, torch.nan]])
    with pytest.raises(ModelError, match="not finite"):
        sampler(scores, scores)
