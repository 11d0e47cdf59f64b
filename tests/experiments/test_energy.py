from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tcs_hpt.errors import ModelError
from tcs_hpt.experiments.energy import EnergyAnswer, ask_energies, energies, token_energy
from tcs_hpt.experiments.states import STATES
from tcs_hpt.experiments.suites import AskingSuite, load_suite
from tcs_hpt.llm import ChatReply, ChatRequest, Token
from tcs_hpt.report.comparison.text import Run
from tcs_hpt.report.energy import write_energy
from tests.report.test_html import Page

STATE = STATES["underfitting"]
OPTIONS = list(STATE.changes)
RUN = Run(at="now", command="tcs-hpt bench run e", machine="m", versions="v", jobs=1)


class Sure:
    """Answers with the given text, every token of which has the given logit."""

    name = "sure"

    def __init__(
        self, answer: Callable[[ChatRequest], str], logit: Callable[[ChatRequest], float | None]
    ) -> None:
        self._answer, self._logit = answer, logit
        self.requests: list[ChatRequest] = []

    def complete(self, request: ChatRequest) -> ChatReply:
        self.requests.append(request)
        text = self._answer(request)
        tokens = tuple(Token(c, logprob=-0.1, logit=self._logit(request)) for c in text)
        return ChatReply(text=text, tokens=tokens)

    def rest(self) -> None:
        pass

    def close(self) -> None:
        pass


def told_by_report(request: ChatRequest) -> bool:
    return (
        "CURRENT SITUATION" in request.messages[-1].content
        or "CURRENT PERFORMANCE" in request.messages[-1].content
    )


def obedient(request: ChatRequest) -> str:
    return json.dumps(
        {
            "specific_recommendation": OPTIONS[1],
            "hyperparameters": OPTIONS[1],
            "problem_diagnosis": "underfitting",
        }
    )


def test_the_energy_of_an_answer_is_its_mean_negative_logit() -> None:
    assert token_energy([Token("a", -1.0, 12.0), Token("b", -1.0, 20.0)]) == -16.0
    with pytest.raises(ModelError, match="does not tell the logits") as error:
        token_energy([Token("a", -1.0, 12.0), Token("b", -1.0)])
    assert "transformers:" in error.value.hint
    with pytest.raises(ModelError, match="does not tell the logits"):
        token_energy([])


def test_both_agents_are_asked_without_a_schema_and_once() -> None:
    model = Sure(obedient, lambda request: 15.0)
    found = list(ask_energies(model, [STATE], ["log", "report"], repeats=2))
    assert [(a.shown, a.repeat, a.agent) for a in found] == [
        (shown, repeat, agent)
        for shown in ("log", "report")
        for repeat in (0, 1)
        for agent in ("analysis", "optimizer")
    ]
    assert {a.choice for a in found} == {OPTIONS[1]}
    assert {a.energy for a in found} == {-15.0}
    assert all(r.schema is None and r.logprobs for r in model.requests)
    assert len(model.requests) == 8
    assert [told_by_report(r) for r in model.requests] == 4 * [False] + 4 * [True]
    seeds = [r.seed for r in model.requests]
    assert seeds[:4] == seeds[4:]  # both ways are asked with the same seeds
    assert len(set(seeds)) == 4


def test_what_cannot_be_read_is_a_meaning_of_its_own_and_not_repaired() -> None:
    model = Sure(lambda request: "I do not know.", lambda request: 10.0)
    found = list(ask_energies(model, [STATE], ["report"], repeats=1))
    assert [(a.agent, a.choice, a.tokens) for a in found] == [("analysis", "", 14), ("optimizer", "", 14)]
    assert len(model.requests) == 2


def silent_by_report(request: ChatRequest) -> str:
    return "" if told_by_report(request) else obedient(request)


def test_empty_answers_are_recorded_without_an_energy_and_not_asked_again() -> None:
    found = list(
        ask_energies(Sure(silent_by_report, lambda request: 10.0), [STATE], ["log", "report"], repeats=1)
    )
    assert [(a.shown, a.agent, a.energy, a.text == "") for a in found] == [
        ("log", "analysis", -10.0, False),
        ("log", "optimizer", -10.0, False),
        ("report", "analysis", None, True),
        ("report", "optimizer", None, True),
    ]
    model = Sure(obedient, lambda request: 10.0)
    assert list(ask_energies(model, [STATE], ["log", "report"], repeats=1, known=found)) == []
    assert model.requests == []


def test_empty_answers_have_no_meaning_and_are_counted() -> None:
    (found,) = energies([answer(-10, "a"), answer(None, ""), answer(None, "", state="t")])
    assert (found.answers, found.empty, found.named) == (3, 2, 1)
    assert (found.mean, found.std, found.largest, found.meanings) == (-10, None, -10, 1)
    (silent,) = energies([answer(None, "")])
    assert (silent.answers, silent.empty) == (1, 1)
    assert (silent.mean, silent.std, silent.largest, silent.meanings) == (None, None, None, None)


def test_a_model_without_logits_is_an_error() -> None:
    with pytest.raises(ModelError, match="does not tell the logits"):
        list(ask_energies(Sure(obedient, lambda request: None), [STATE], ["log"], repeats=1))


def test_what_was_answered_is_not_asked_again() -> None:
    first = list(ask_energies(Sure(obedient, lambda request: 15.0), [STATE], ["log"], repeats=1))
    model = Sure(obedient, lambda request: 15.0)
    again = list(ask_energies(model, [STATE], ["log"], repeats=2, known=first))
    assert [(a.repeat, a.agent) for a in again] == [(1, "analysis"), (1, "optimizer")]


def test_an_interruption_between_the_agents_loses_and_doubles_nothing() -> None:
    whole = list(ask_energies(Sure(obedient, lambda request: 15.0), [STATE], ["log"], repeats=1))
    first = [next(ask_energies(Sure(obedient, lambda request: 15.0), [STATE], ["log"], repeats=1))]
    model = Sure(lambda request: json.dumps({"hyperparameters": OPTIONS[1]}), lambda request: 15.0)
    (rest,) = ask_energies(model, [STATE], ["log"], repeats=1, known=first)
    assert rest.agent == "optimizer"
    assert rest.prompt == whole[1].prompt  # it was told the analysis that is kept
    assert len(model.requests) == 1
    # Files from before lack analyses that were empty: these alone are asked.
    again = Sure(silent_by_report, lambda request: 15.0)
    assert [a.agent for a in ask_energies(again, [STATE], ["log"], repeats=1, known=whole[1:])] == [
        "analysis"
    ]
    assert len(again.requests) == 1


def test_answers_to_another_prompt_are_asked_anew() -> None:
    first = list(ask_energies(Sure(obedient, lambda request: 15.0), [STATE], ["log"], repeats=1))
    assert len({a.prompt for a in first}) == 2
    other = [first[0].model_copy(update={"prompt": "other"}), first[1]]
    model = Sure(obedient, lambda request: 15.0)
    # The same analysis comes out, so the optimizer's prompt and answer stand.
    assert list(ask_energies(model, [STATE], ["log"], repeats=1, known=other)) == first[:1]
    earlier = [a.model_copy(update={"prompt": ""}) for a in first]
    assert list(ask_energies(model, [STATE], ["log"], repeats=1, known=earlier)) == []


def answer(energy: float | None, choice: str, state: str = "s", **more: object) -> EnergyAnswer:
    fields = {"model": "m", "state": state, "shown": "log", "agent": "analysis", "repeat": 0, "tokens": 3}
    return EnergyAnswer.model_validate({**fields, "energy": energy, "choice": choice, **more})


def test_meanings_are_the_changes_that_are_named() -> None:
    (found,) = energies(
        [answer(-10, "a"), answer(-20, "b"), answer(-30, "b"), answer(-5, ""), answer(-7, "a", state="t")]
    )
    assert (found.answers, found.named) == (5, 4)
    assert found.mean == pytest.approx(-14.4)
    assert found.largest == pytest.approx((-25 + -7) / 2)
    assert found.meanings == pytest.approx((3 + 1) / 2)


def test_the_table_compares_the_report_with_the_log(tmp_path: Path) -> None:
    suite = load_suite("table2-energy")
    assert isinstance(suite, AskingSuite)
    model = Sure(obedient, lambda request: 18.0 if told_by_report(request) else 14.0)
    found = list(ask_energies(model, [STATE, STATES["diverged"]], ["log", "report"], repeats=2))
    write_energy(tmp_path, suite, found, [RUN], version="1", generated_at="now")
    table = (tmp_path / "table.md").read_text()
    assert "| analysis | raw log | 4 | -14.00 +- 0.00 | -14.00 | 1.0 | 2 of 4 |" in table
    assert "| analysis | state report | 4 | -18.00 +- 0.00 | -18.00 | 1.0 | 2 of 4 |" in table
    assert (
        "- optimizer: with the state report -4.00 against the raw log (95 % interval -4.00 to -4.00), over 2 states."
        in table
    )
    Page((tmp_path / "report.html").read_text())
    assert (tmp_path / "answers.csv").read_text().count("\n") >= 17


def test_the_table_counts_empty_answers(tmp_path: Path) -> None:
    suite = load_suite("table2-energy")
    assert isinstance(suite, AskingSuite)
    model = Sure(silent_by_report, lambda request: 14.0)
    found = list(ask_energies(model, [STATE], ["log", "report"], repeats=2))
    write_energy(tmp_path, suite, found, [RUN], version="1", generated_at="now")
    table = (tmp_path / "table.md").read_text()
    assert "| analysis | raw log | 2 | -14.00 +- 0.00 | -14.00 | 1.0 | 2 of 2 |" in table
    assert "| analysis | state report | 2 | - | - | - | 0 of 2 |" in table
    assert "- analysis, state report: 2 of 2 empty, without energy or meaning." in table
    assert "analysis, raw log:" not in table
    assert "not told in both ways" in table
    assert (tmp_path / "answers.csv").read_text().count("\n") >= 9


def test_one_way_of_telling_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    suite = load_suite("table2-energy")
    assert isinstance(suite, AskingSuite)
    found = list(ask_energies(Sure(obedient, lambda request: 1.0), [STATE], ["log"], repeats=1))
    write_energy(tmp_path, suite, found, [], version="1", generated_at="now")
    assert "not told in both ways" in (tmp_path / "table.md").read_text()
