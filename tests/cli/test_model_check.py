from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from tcs_hpt.cli import model_check
from tcs_hpt.errors import ModelError, UserError
from tcs_hpt.llm import ChatModel, ChatReply, ChatRequest
from tcs_hpt.llm.scripted import ScriptedModel
from tests.experiments.models import by_content, by_place, invalid

Run = Callable[..., Result]


class Closing(ScriptedModel):
    """Remembers whether it was put away."""

    put_away: tuple[str, ...] = ()

    def rest(self) -> None:
        self.put_away += ("rest",)

    def close(self) -> None:
        self.put_away += ("close",)


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "80")
    app = typer.Typer()
    app.command()(model_check.check)

    def run(model: ChatModel, *arguments: str, name: str = "some-model") -> Result:
        def opened(name: str, console: Console, *, pull: bool) -> tuple[ChatModel, str]:
            return model, f"It was asked for{', with --pull' if pull else ''}."

        monkeypatch.setattr(model_check, "open_model", opened)
        return CliRunner().invoke(app, [name, *arguments])

    return run


def test_a_good_model_ends_with_0_and_a_sentence(check: Run) -> None:
    done = check(by_content("right"), "--repeats", "2")
    assert done.exit_code == 0, done.output
    assert "For tuning: good." in done.stdout
    assert "53 calls on 6 example states" in done.stderr


def test_the_output_fits_80_columns_and_names_every_state(check: Run) -> None:
    done = check(by_place())
    assert done.exit_code == 0
    assert max(map(len, done.output.splitlines())) <= 80
    for name in ("diverged", "overfitting", "underfitting", "plateau"):
        assert f"\n{name} " in done.stdout
    assert "For tuning: usable. It chooses places in the list" in done.stdout
    assert "10 x " in done.stdout


def test_a_useless_model_ends_with_1(check: Run) -> None:
    done = check(invalid(), "--quick")
    assert done.exit_code == 1
    assert "For tuning: not usable." in done.stdout
    assert "none could be used" in done.stdout


def test_quick_and_states_and_repeats_say_what_is_asked(check: Run) -> None:
    model = by_place()
    done = check(model, "--quick")
    assert len(model.requests) == 13
    assert "13 calls on 2 example states (diverged, overfitting)" in " ".join(done.stderr.split())
    model = by_place()
    check(model, "--states", "plateau, overfitting", "--repeats", "1")
    assert len(model.requests) == 2 * 4 * 2 + 1
    assert "House prices" not in model.requests[0].messages[0].content
    assert "house prices" in model.requests[0].messages[0].content


def test_an_unknown_state_is_wrong_use_before_any_model_is_opened(check: Run) -> None:
    model = by_place()
    done = check(model, "--states", "divergence")
    assert isinstance(done.exception, UserError)
    assert "divergence" in str(done.exception)
    assert model.requests == []


def test_json_is_one_object_and_nothing_else_on_standard_output(check: Run) -> None:
    done = check(by_place(), "--quick", "--json")
    read = json.loads(done.stdout)
    assert read["model"] == "scripted"
    assert len(read["answers"]) == 13
    assert done.exit_code == 0
    assert json.loads(check(invalid(), "--quick", "--json").stdout)["judgement"]["verdict"] == "not usable"


def stopping(after: int, error: BaseException) -> Closing:
    good = by_place()

    def answer(request: ChatRequest) -> str:
        if len(good.requests) == after:
            raise error
        return good.complete(request).text

    return Closing(then=answer)


def test_ctrl_c_gives_the_figures_so_far(check: Run) -> None:
    model = stopping(5, KeyboardInterrupt())
    done = check(model)
    assert done.exit_code == 130
    assert "Stopped early: 5 calls of 85 planned." in done.stdout
    assert "For tuning so far: usable." in done.stdout
    assert model.put_away == ("rest", "close")
    model = stopping(5, KeyboardInterrupt())
    done = check(model, "--json")
    assert done.exit_code == 130
    assert json.loads(done.stdout)["partial"] is True


def test_ctrl_c_before_the_first_answer_prints_no_figures(check: Run) -> None:
    model = stopping(0, KeyboardInterrupt())
    done = check(model)
    assert done.exit_code == 130
    assert done.stdout == ""
    assert "interrupted before the first answer" in done.stderr
    assert model.put_away[-1] == "close"


def test_a_model_that_fails_at_once_is_an_error_without_figures(check: Run) -> None:
    model = stopping(0, ModelError("no server at port 9", hint="Start it."))
    done = check(model)
    assert isinstance(done.exception, ModelError)
    assert done.stdout == ""
    assert model.put_away == ("close",)


def test_a_model_that_dies_on_the_way_gives_the_figures_and_the_error(check: Run) -> None:
    done = check(stopping(10, ModelError("the server is gone")))
    assert isinstance(done.exception, ModelError)
    assert "the server is gone" in done.exception.message
    assert "Stopped early" in done.stdout


def test_the_expected_time_is_said_after_the_first_answer(check: Run) -> None:
    good = by_place()

    class Slow(ScriptedModel):
        def complete(self, request: ChatRequest) -> ChatReply:
            return replace(good.complete(request), seconds=30.0)

    done = check(Slow(), "--quick")
    said = " ".join(done.stderr.split())
    assert "first answer after 30 s; the rest takes about 6 min 00 s" in said
    shown = " ".join(done.stdout.split())
    assert "first call 30 s, then 1 min 00 s a decision" in shown
    assert "so 9 min 00 s for the 9 decisions of a study of ten trials." in shown


def test_the_choice_of_auto_is_explained(check: Run) -> None:
    assert "It was asked for." not in check(by_place(), "--quick").stderr
    assert "It was asked for." in check(by_place(), "--quick", name="auto").stderr


def test_a_server_may_be_let_fetch_the_model_to_be_checked(check: Run) -> None:
    """The hint over a model that a server lacks names --pull."""
    done = check(by_content("right"), "--quick", "--pull", name="auto")
    assert "It was asked for, with --pull." in done.stderr
    assert "with --pull" not in check(by_content("right"), "--quick", name="auto").stderr
