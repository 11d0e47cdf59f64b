"""What the name of a parameter tells: for known names, for those of the tables, and for any name."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcs_hpt.evidence.knowledge import knowledge
from tcs_hpt.evidence.knowledge._entry import PARENTS, Entry
from tcs_hpt.evidence.knowledge._names import optimizer, spellings
from tcs_hpt.evidence.knowledge._tables import INTERACTIONS, NAMES, TABLES
from tcs_hpt.evidence.roles import role_of
from tcs_hpt.space import SearchSpace, check_value
from tcs_hpt.spec import TaskSpec
from tests.build import parameter_specs
from tests.evidence.known import start
from tests.evidence.spaces import SPACES, pick, plain_task, real, whole

# -- what a name means --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "known_as"),
    [
        ("model__learning_rate_init", "learning_rate_init"),
        ("optim.lr", "lr"),
        ("--lr", "lr"),
        ("learningRate", "learning_rate"),
        ("numLeaves", "num_leaves"),
        ("batch-size", "batch_size"),
        ("n_units_1", "n_units"),
        ("dropout_l2", "dropout"),
        ("pipeline__clf__C", "c"),
        ("rf_n_estimators", "n_estimators"),
        ("BATCH_SIZE", "batch_size"),
        ("XGBClassifier__max_depth", "max_depth"),
    ],
)
def test_spellings(name: str, known_as: str) -> None:
    assert known_as in spellings(name)
    assert any(known_as in names for names in NAMES.values())


@pytest.mark.parametrize(
    ("name", "is_called"),
    [("torch.optim.AdamW", "adamw"), ("sgd_momentum", "sgd"), ("paged_adamw_8bit", "adamw"), ("Adam", "adam"), ("mine", "mine")],
)  # fmt: skip
def test_decorated_optimizers(name: str, is_called: str) -> None:
    assert optimizer(name) == is_called


ALPHA = {"alpha": real(1e-6, 100, log=True)}


@pytest.mark.parametrize(
    ("title", "first", "word"),
    [
        ("MLPClassifier on digits", 1e-4, "L2"),
        ("Ridge regression", 1.0, "default"),
        ("A LoRA adapter of a language model", 32.0, "rank"),
        ("SGDClassifier on text", 1e-4, "penalty"),
    ],
)
def test_alpha_means_what_the_model_makes_of_it(title: str, first: float, word: str) -> None:
    advice = knowledge(plain_task(ALPHA, title)).advice["alpha"]
    assert advice.first == first
    assert word in advice.note


@pytest.mark.parametrize("title", ["", "A support vector machine", "A convolutional neural network"])
def test_alpha_alone_or_where_it_means_nothing_gives_nothing_and_says_so(title: str) -> None:
    found = knowledge(plain_task(ALPHA, title))
    assert found.advice == {}
    assert found.prior("alpha", 0.1) == 0.5
    assert "could belong to" in found.silent["alpha"] or "means something else" in found.silent["alpha"]
    assert found.start(SearchSpace(plain_task(ALPHA).params))[1] == {"alpha": "middle of the scale"}


def test_gamma_follows_the_company_it_keeps() -> None:
    gamma = {"gamma": real(1e-6, 10, log=True)}
    kernel = knowledge(plain_task(gamma | {"C": real(0.01, 100, log=True)}))
    trees = knowledge(
        plain_task({"gamma": real(0, 10), "min_child_weight": whole(1, 10), "max_depth": whole(2, 10)})
    )
    assert kernel.advice["gamma"].first == pytest.approx(0.016)
    assert trees.advice["gamma"].first == 0.0


def test_forest_or_boosting_is_not_guessed() -> None:
    found = knowledge(plain_task({"n_estimators": whole(10, 1000), "max_depth": whole(1, 40)}))
    assert found.family == "boosted trees or random forest"
    assert found.advice == {}
    assert found.silent["max_depth"] == "max_depth could belong to boosted trees or random forest"


def test_what_the_user_says_decides() -> None:
    spec = plain_task({"n_estimators": whole(10, 1000), "max_depth": whole(1, 40)})
    assert start(spec, "a random forest on my table")["max_depth"] == 20
    assert start(spec, "gradient boosting on my table")["max_depth"] == 6


def test_of_several_models_each_parameter_follows_its_own() -> None:
    spec = plain_task(
        {
            "model": pick("svm", "rf", "xgb"),
            "svm__C": real(0.01, 100, log=True, when={"model": ["svm"]}),
            "rf_max_depth": whole(2, 40, when={"model": ["rf"]}),
            "max_depth": whole(2, 12, when={"model": ["xgb"]}),
        }
    )
    advice = knowledge(spec).advice
    assert {n: a.first for n, a in advice.items()} == {"svm__C": 10.0, "rf_max_depth": 20, "max_depth": 6}


def test_a_type_that_does_not_fit_is_not_matched() -> None:
    found = knowledge(plain_task({"dropout": whole(0, 5), "lr": pick("slow", "fast"), "epochs": whole(1, 9)}))
    assert set(found.advice) == {"epochs"}
    assert found.silent["dropout"] == "known with values of another type"


def test_scikit_learn_s_learning_rate_may_be_a_schedule() -> None:
    params = {
        "learning_rate": pick("invscaling", "constant"),
        "learning_rate_init": real(1e-4, 0.1, log=True),
    }
    assert start(plain_task(params)) == {"learning_rate": "constant", "learning_rate_init": 1e-3}


def test_what_is_fixed_still_tells_the_kind_of_model() -> None:
    spec = plain_task(SPACES["hpobench"][1])
    assert start(spec.narrowed(only=("alpha",))) == {"alpha": 1e-4}
    model = plain_task({"lr": real(1e-6, 1, log=True)}, fixed={"model_name": "distilbert-base-uncased"})
    assert start(model) == {"lr": 3e-5}


# -- the tables ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "entry"), [(f, e) for f, table in TABLES.items() for e in table])
def test_every_entry_is_whole(family: str, entry: Entry) -> None:
    assert re.search(r"(19|20)\d\d|documentation|default|PyTorch|CatBoost|ours", entry.source), entry.source
    assert entry.why
    assert len(entry.why.split()) <= 8
    assert all(n == n.lower() and " " not in n for n in entry.names)
    assert len(set(entry.names)) == len(entry.names)
    assert (entry.first is not None) or entry.worth
    assert all(0 <= w <= 1 and re.fullmatch("[a-z0-9]+", k) for k, w in entry.worth.items())
    if entry.worth:
        assert max(entry.worth.values()) == 1
    if entry.first is not None:
        assert entry.low <= entry.first <= entry.high
        assert entry.low < entry.high
        assert not entry.log or entry.low > 0


def test_every_name_of_an_interaction_is_known() -> None:
    assert set(TABLES) >= set(PARENTS) | set(PARENTS.values())
    concepts = {e.concept for table in TABLES.values() for e in table}
    for interaction in INTERACTIONS:
        assert set(interaction.needs) <= concepts, interaction
        assert set(interaction.among) <= set(interaction.needs)
        assert set(re.findall(r"{(\w+)}", interaction.text)) <= set(interaction.needs)
        assert interaction.source


def test_roles_know_the_same_names() -> None:
    for concept, role in (
        ("lr", "learning_rate"),
        ("batch_size", "batch_size"),
        ("dropout", "regularization"),
        ("optimizer", "optimizer"),
    ):
        entry = next(e for e in TABLES["neural"] if e.concept == concept)
        apart = {n for n in entry.names if role_of(n) != role}
        assert len(apart) <= len(entry.names) / 3, apart
    assert role_of("learningRate") == role_of("learning-rate") == "learning_rate"


# -- properties ---------------------------------------------------------------------------------------------

_POOL = sorted({n for names in NAMES.values() for n in names})
_TITLES = [
    "",
    *(title for title, _ in SPACES.values()),
    "LightGBM and a neural network",
    "Ridge",
    "k-nearest neighbours",
]
_NAMES = st.one_of(
    st.sampled_from(_POOL),
    st.sampled_from(["model__lr", "optim.weightDecay", "rf_max_depth", "n_units_1", "C", "x", "svm__gamma", "p0", "lambda", "_", "a.b-c"]),
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,12}", fullmatch=True),
)  # fmt: skip
_OPTIMIZERS = {"type": "categorical", "choices": ["adam", "sgd", "rmsprop"]}


@st.composite
def tasks(draw: st.DrawFn) -> TaskSpec:
    names = draw(st.lists(_NAMES, min_size=1, max_size=8, unique=True))
    params: dict[str, Any] = {}
    for name in names:
        spec = draw(st.one_of(parameter_specs(), st.just(dict(_OPTIMIZERS))))
        parents = [n for n, p in params.items() if p["type"] == "categorical"]
        hangs: bool = draw(st.booleans())
        if parents and hangs:
            parent = draw(st.sampled_from(parents))
            spec = {**spec, "when": {parent: [params[parent]["choices"][0]]}}
        params[name] = spec
    return plain_task(params, draw(st.sampled_from(_TITLES)))


_VALUES = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True), st.integers(), st.booleans(), st.text(max_size=5), st.sampled_from(["adam", "sgd"])
)  # fmt: skip


@given(tasks(), st.data())
def test_any_space_has_a_valid_start_and_a_prior(spec: TaskSpec, data: st.DataObject) -> None:
    space = SearchSpace(spec.params)
    found = knowledge(spec)
    config, reasons = found.start(space)
    assert space.violations(config) == []
    assert set(reasons) == set(config)
    assert set(found.advice) | set(found.silent) == set(spec.params)
    assert not set(found.advice) & set(found.silent)
    for advice in found.advice.values():
        assert SearchSpace({"p": spec.params[advice.parameter].model_copy(update={"when": {}})}).contains(
            {"p": advice.first}
        )
    name = data.draw(st.sampled_from(sorted(spec.params)))
    beside = data.draw(st.one_of(st.none(), st.dictionaries(st.sampled_from(sorted(spec.params)), _VALUES)))
    assert 0 <= found.prior(name, data.draw(_VALUES), beside) <= 1
    assert all(n in space.names for n in reasons)
    values = found.values(name, 7)
    assert values
    assert len(set(values)) == len(values)
    assert all(check_value(name, spec.params[name], value) is None for value in values)
    if name in found.silent:
        assert values == space.values(name, 7)


@given(tasks(), st.randoms(use_true_random=False))
def test_nothing_depends_on_the_order_of_parameters(spec: TaskSpec, shuffle: random.Random) -> None:
    names = list(spec.params)
    shuffle.shuffle(names)
    other = spec.model_copy(update={"params": {n: spec.params[n] for n in names}})
    one, two = knowledge(spec), knowledge(other)
    assert one.start(SearchSpace(spec.params)) == two.start(SearchSpace(other.params))
    assert one.advice == two.advice
    assert one.silent == two.silent
    assert one.notes() == two.notes()
