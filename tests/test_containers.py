"""The containers as far as they can be checked without an engine: schema, lint, and that what they name exists here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tcs_hpt.cli.app import app

ROOT = Path(__file__).parent.parent
COMPOSE = ("docker-compose.yml", "docker-compose.gpu.yml")
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))[
    "services"
]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_files_keep_to_the_schema(name: str) -> None:
    done = run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", name)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dockerfile_has_nothing_that_the_linter_minds() -> None:
    done = run(str(Path(sys.executable).parent / "hadolint"), "Dockerfile")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_gpu_file_adds_to_services_that_exist() -> None:
    extra = yaml.safe_load((ROOT / "docker-compose.gpu.yml").read_text(encoding="utf-8"))
    assert set(extra["services"]) <= set(SERVICES)


def test_every_image_is_pinned() -> None:
    images = [s["image"] for s in SERVICES.values() if "image" in s]
    images += [f"python:{tag}" for tag in re.findall(r"ARG PYTHON=(\S+)", DOCKERFILE)]
    assert len(images) == 6
    for image in images:
        if image != "tcs-hpt:local":  # built here
            assert re.search(r":\d+\.\d+(\.\d+)?", image), image


def test_nothing_of_ours_runs_as_root_or_may_become_it() -> None:
    assert re.search(r"^USER [1-9]\d*:\d+$", DOCKERFILE, re.MULTILINE)
    for name in ("service", "worker"):
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
        assert SERVICES[name]["read_only"] is True


def test_only_the_service_is_reached_from_outside_and_only_from_this_machine() -> None:
    published = {name: s["ports"] for name, s in SERVICES.items() if "ports" in s}
    assert list(published) == ["service"]
    assert all(port.startswith("127.0.0.1:") for port in published["service"])


def test_what_must_be_set_is_in_the_example() -> None:
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in COMPOSE)
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    for name, rule in set(re.findall(r"\$\{([A-Z_]+)(:\?|:-)?", text)):
        assert rule, f"{name} has no default and is not required"
        assert re.search(rf"^{'# ' if rule == ':-' else ''}{name}=", example, re.MULTILINE), name


@pytest.mark.parametrize(
    "command", [SERVICES["worker"]["command"], re.findall(r"\"([^\"]+)\"", DOCKERFILE.split("CMD ")[1])]
)
def test_commands_have_the_options_that_are_given(command: list[str]) -> None:
    shown = CliRunner().invoke(app, [command[0], "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    for option in (word for word in command[1:] if word.startswith("--")):
        assert option in shown.output, option


def test_what_the_image_copies_is_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for word in line.split()[:-1]
    ]
    assert set(copied) <= kept
    assert all((ROOT / name).exists() for name in copied)
