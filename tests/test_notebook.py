"""`tcs_hpt.tune` in a real notebook: a kernel runs the cells, and their outputs are what a person sees."""

from __future__ import annotations

import re
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

CELLS = (
    """\
import tcs_hpt

def objective(params, trial):
    for epoch in range(1, params["epochs"] + 1):
        trial.report(epoch=epoch, score=epoch - (params["x"] - 3) ** 2)
    print("trained with", params)
    return params["epochs"] - (params["x"] - 3) ** 2

space = {"x": tcs_hpt.Float(-10, 10, default=0.0), "epochs": 9}
how = dict(direction="maximize", method="expert", store="studies.db")
result = tcs_hpt.tune(objective, space, trials=4, name="whole", **how)
""",
    "result",
    "result.trials[['number', 'state', 'value']]",
    "result.report()",
    'first = tcs_hpt.tune(objective, space, trials=3, name="first", fidelity="epochs", **how)\nprint(first.best_params["epochs"], len(first.records))',
    'tcs_hpt.tune(objective, space, trials=4, name="whole", progress=False, **how).best_value == result.best_value',
    """\
try:
    tcs_hpt.tune(objective, space, trials=1, isolate=True, **how)
except Exception as error:
    print(type(error).__name__, error)
""",
)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    """What each cell shows."""
    folder = tmp_path_factory.mktemp("notebook")
    cells = [nbformat.v4.new_code_cell(text) for text in CELLS]  # type: ignore[no-untyped-call]
    book = nbformat.v4.new_notebook(cells=cells)  # type: ignore[no-untyped-call]
    client = NotebookClient(
        book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.setenv("HOME", str(folder))
        client.execute()
    assert (folder / "studies.db").exists()
    return [cell["outputs"] for cell in book["cells"]]


def html(shown: list[Any]) -> list[str]:
    return [o["data"]["text/html"] for o in shown if "text/html" in o.get("data", {})]


def printed(shown: list[Any]) -> str:
    return "".join(o["text"] for o in shown if o["output_type"] == "stream" and o["name"] == "stdout")


def test_one_table_grows_while_the_study_runs(outputs: list[list[Any]]) -> None:
    (table,) = html(outputs[0])  # drawn many times, in one place
    assert len(re.findall("<tr>", table)) == 1 + 4
    assert "All trials are done." in table
    assert "whole" in table
    assert printed(outputs[0]).count("trained with") == 4


def test_the_result_shows_itself(outputs: list[list[Any]]) -> None:
    (result,) = html(outputs[1])
    assert "score rose from" in result
    (frame,) = html(outputs[2])
    assert frame.count("finished") == 4
    (report,) = html(outputs[3])
    assert report.startswith("<iframe srcdoc=")


def test_fewer_epochs_first(outputs: list[list[Any]]) -> None:
    (table,) = html(outputs[4])
    assert "fidelity 1" in table
    assert "again, epochs: 1 -&gt; " in table
    assert printed(outputs[4]).splitlines()[-1] == "9 6"


def test_a_study_is_continued_and_a_function_of_a_cell_cannot_be_isolated(outputs: list[list[Any]]) -> None:
    assert outputs[5][-1]["data"]["text/plain"] == "True"
    assert printed(outputs[6]).startswith("UserError")
