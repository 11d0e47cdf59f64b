"""Pictures of the dashboard for the documentation: real studies in a real browser, written to `docs/images/`.

Run from a checkout with the extras `service` and `dev` and a chromium on the path:

    python docs/screenshots.py                                  # a scripted model: the same pictures every time
    python docs/screenshots.py --model embedded:smollm2-135m    # a real one, which takes minutes

What a scripted model says is made of what it was asked; its name in the pictures is `scripted`.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the tests' helper starts the service

from tcs_hpt.agents.answers import PROBLEMS  # noqa: E402
from tcs_hpt.catalog import load_task  # noqa: E402
from tcs_hpt.llm import ChatRequest  # noqa: E402
from tcs_hpt.llm.scripted import ScriptedModel, first_choice  # noqa: E402
from tcs_hpt.store import Store  # noqa: E402
from tcs_hpt.tuning.launch import Launch, Models, make_study, opened_models, study_spec  # noqa: E402
from tests.service.browser.service import Service  # noqa: E402

IMAGES = ROOT / "docs" / "images"
WIDE: ViewportSize = {"width": 1180, "height": 860}
NARROW: ViewportSize = {"width": 360, "height": 760}
SETTLE_MS = 500

LAUNCHES = (
    Launch(name="digits-agents", task="mlp_digits", method="tcs", trials=8),
    Launch(name="digits-expert", task="mlp_digits", method="expert", trials=8),
    Launch(name="digits-random", task="mlp_digits", method="random", trials=8, seed=1),
    Launch(name="function-agents", task="function_2d", method="tcs", trials=10),
)


def sensible(request: ChatRequest) -> str:
    """An answer that satisfies the schema and refers to what was asked; the same for the same request."""
    answer: dict[str, Any] = json.loads(first_choice(request))
    draw = random.Random(request.seed)
    text = request.messages[-1].content
    if "problem_diagnosis" in answer:
        answer["problem_diagnosis"] = next((p for p in PROBLEMS if p in text), PROBLEMS[0])
        answer["impact_assessment"] = {
            n: draw.choice(["high", "medium", "low"]) for n in answer["impact_assessment"]
        }
    change = answer.get("specific_recommendation") or answer.get("hyperparameters")
    if isinstance(change, str) and "reasoning" in answer:
        answer["reasoning"] = (
            f"{change} comes first in the list, and nothing in the report speaks against it."
        )
        if "primary_action" in answer:
            answer["primary_action"] = change.partition(":")[0]
    return json.dumps(answer)


def run_studies(store: Path, model: str) -> None:
    """Run the studies in this process, so that a scripted model can stand in."""
    with Store.open(str(store)) as database:
        for launch in LAUNCHES:
            print("running", launch.name)
            loaded = load_task(launch.task)
            spec = study_spec(launch, loaded, database)
            with ExitStack() as stack:
                if launch.method != "tcs":
                    models = Models()
                elif model == "scripted":
                    scripted = ScriptedModel(then=sensible)
                    models = Models(scripted, scripted, "The pictures are made with a scripted model.")
                else:
                    named = launch.model_copy(update={"model": model})
                    models = opened_models(stack, named, spec.name, database)
                make_study(launch, spec, loaded, database, models).run()


class Camera:
    """Opens pages in windows of one kind and saves what they look like."""

    def __init__(self, browser: Browser, service: Service) -> None:
        self._browser = browser
        self._service = service

    def take(
        self,
        name: str,
        address: str,
        *,
        scheme: str = "light",
        narrow: bool = False,
        unfold: str = "",
        whole: bool = True,
    ) -> None:
        """One picture; `unfold` is a selector of folds to open first."""
        window = self._browser.new_context(
            viewport=NARROW if narrow else WIDE,
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
        )
        page: Page = window.new_page()
        page.goto(self._service.url + address)
        page.locator("main h1").wait_for()
        if unfold:
            for fold in page.locator(unfold).all():
                fold.locator("summary").first.click()
        page.wait_for_timeout(SETTLE_MS)
        page.screenshot(path=IMAGES / f"{name}.png", full_page=whole)
        window.close()


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description="Pictures of the dashboard.")
    parser.add_argument("--model", default="scripted", help="what the agents think with")
    model = parser.parse_args().model
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("there is no chromium on the path")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder))
        run_studies(service.store, model)
        with service, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            camera = Camera(browser, service)
            service.create(name="digits-live", task="mlp_digits", method="tpe", trials=12, fix={"epochs": 40})
            live = service.create(name="digits-waiting", task="mlp_digits", method="gp", trials=10)
            camera.take("studies", "#/")
            camera.take("studies-dark", "#/", scheme="dark")
            camera.take("study-live", "#/studies/digits-live", whole=False)
            camera.take("study", "#/studies/digits-agents")
            camera.take("study-dark", "#/studies/digits-agents", scheme="dark", whole=False)
            camera.take("study-narrow", "#/studies/digits-agents", narrow=True, whole=False)
            camera.take("trial", "#/studies/digits-agents/trials/4", unfold="details[data-fold=report]")
            camera.take(
                "start",
                "#/new?task=mlp_digits&method=expert",
                unfold="form.start > details.more:first-of-type",
            )
            camera.take("compare", "#/compare?studies=digits-agents,digits-expert,digits-random")
            service.ask("POST", f"studies/{live}/stop", {})
            browser.close()


if __name__ == "__main__":
    main()
