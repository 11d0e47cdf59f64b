"""Strangers: other sites' pages, other people's programs, and what models, scripts and folders try."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tcs_hpt import bundled
from tcs_hpt.errors import UserError
from tcs_hpt.service.settings import ServiceSettings, is_loopback, read_token
from tests.service.api import HERE, MANIFEST, PROBLEM, Api, api

TOKEN = "0123456789abcdef"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Api]:
    with api(tmp_path) as made:
        yield made


# -- who may listen -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_this_machine_alone_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    ServiceSettings(host=host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "example.org", "127.0.0.1.example.org"])
def test_other_machines_need_a_token(host: str) -> None:
    with pytest.raises(UserError, match="no token") as refused:
        ServiceSettings(host=host)
    assert "--token-file" in refused.value.hint
    ServiceSettings(host=host, token=TOKEN)


@pytest.mark.parametrize("token", ["short", "0123456789abcdé0"])
def test_a_token_that_can_be_guessed_is_refused(token: str) -> None:
    with pytest.raises(UserError, match="at least 16 ASCII characters"):
        ServiceSettings(token=token)


def test_a_token_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\nnot this\n")
    assert read_token(file) == TOKEN
    file.write_text("\n")
    with pytest.raises(UserError, match="is empty"):
        read_token(file)
    with pytest.raises(UserError, match="cannot be read"):
        read_token(tmp_path / "missing")


# -- the token ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        TOKEN,
        f"Basic {TOKEN}",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer \u00e9",
    ],
)
def test_without_the_token_there_is_nothing(tmp_path: Path, header: str | None) -> None:
    with api(tmp_path, token=TOKEN) as world:
        client = TestClient(world.app, base_url=HERE)
        headers: dict[bytes, bytes] = {} if header is None else {b"Authorization": header.encode("latin-1")}
        for method, path in (
            ("GET", "/studies"),
            ("GET", "/nothing"),
            ("POST", "/studies"),
            ("GET", "/events"),
        ):
            response = client.request(method, f"/api/v1{path}", headers=headers)
            assert response.status_code == 401
            assert response.headers["www-authenticate"].startswith("Bearer")
            assert response.headers["content-type"] == PROBLEM


def test_with_the_token_everything_is_there(tmp_path: Path) -> None:
    with api(tmp_path, token=TOKEN) as world:
        assert world.get("/info")["auth"] is True
        world.enter()
        client = TestClient(world.app, base_url=HERE)
        assert client.get("/api/v1/studies", headers={"Authorization": f"bearer  {TOKEN}"}).status_code == 200
        for open_to_all in ("/healthz", "/readyz"):
            assert client.get(open_to_all).status_code == 200
        assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 400


# -- hosts and origins --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "a b", "localhost:x", "[::1"]
)
def test_a_name_that_is_not_ours_is_refused(world: Api, host: str) -> None:
    for path in ("/", "/api/v1/studies", "/healthz"):
        response = world.client.get(path, headers={"Host": host})
        assert response.status_code == 400
        assert response.headers["content-type"] == PROBLEM


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8765", "LOCALHOST", "[::1]:8765", "tuner.lan:80"])
def test_our_names_are_known(tmp_path: Path, host: str) -> None:
    with api(tmp_path, allowed_hosts=("Tuner.lan",)) as world:
        assert world.client.get("/healthz", headers={"Host": host}).status_code == 200


def test_the_host_that_was_bound_is_known(tmp_path: Path) -> None:
    with api(tmp_path, host="192.168.1.5", token=TOKEN) as world:
        assert world.client.get("/healthz", headers={"Host": "192.168.1.5:8765"}).status_code == 200
    with api(tmp_path, host="0.0.0.0", token=TOKEN) as world:
        assert world.client.get("/healthz", headers={"Host": "0.0.0.0"}).status_code == 400


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1:9999",
        "http://127.0.0.1",
        "http://127.0.0.1:8765.evil.example",
    ],
)
def test_other_sites_change_nothing(world: Api, origin: str) -> None:
    world.enter()
    for method, path in (("POST", "/studies"), ("POST", "/studies/s/stop"), ("DELETE", "/studies/s")):
        response = world.client.request(
            method, f"/api/v1{path}", headers={"Origin": origin}, json={} if method == "POST" else None
        )
        assert response.status_code == 403
        assert response.headers["content-type"] == PROBLEM
    assert world.get("/studies/s")["state"] == "queued"


def test_our_own_pages_may(world: Api) -> None:
    world.enter()
    response = world.client.post("/api/v1/studies/s/stop", json={}, headers={"Origin": HERE})
    assert response.status_code == 202


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "text/plain; application/json",
    ],
)
def test_a_form_of_another_site_changes_nothing(world: Api, kind: str | None) -> None:
    world.enter()
    headers = {} if kind is None else {"Content-Type": kind}
    for path in ("/studies", "/studies/s/stop"):
        response = world.client.post(f"/api/v1{path}", content=b'{"task": "function_2d"}', headers=headers)
        assert response.status_code == 415
        assert response.headers["content-type"] == PROBLEM
    assert world.get("/studies/s")["state"] == "queued"


def test_nobody_else_may_read_the_answers(world: Api) -> None:
    response = world.client.options(
        "/api/v1/studies",
        headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"},
    )
    assert response.status_code == 405
    assert not [h for h in response.headers if h.startswith("access-control")]


# -- sizes --------------------------------------------------------------------------------------------------


def test_a_body_that_is_too_large_is_refused(world: Api) -> None:
    world.enter()
    body = b'{"question": "' + b"x" * (1024 * 1024) + b'"}'
    headers = {"Content-Type": "application/json"}

    def pieces() -> Iterator[bytes]:
        for i in range(0, len(body), 65536):
            yield body[i : i + 65536]

    for path in ("/studies/s/questions", "/studies/s/stop"):
        response = world.client.post(f"/api/v1{path}", content=body, headers=headers)
        assert response.status_code == 413
        assert response.headers["content-type"] == PROBLEM
    response = world.client.post("/api/v1/studies/s/questions", content=pieces(), headers=headers)
    assert response.status_code == 413
    assert response.headers["content-type"] == PROBLEM
    assert world.get("/studies/s")["state"] == "queued"


def test_a_length_that_is_no_number_is_refused(world: Api) -> None:
    response = world.client.post(
        "/api/v1/studies/s/stop", headers={"Content-Type": "application/json", "Content-Length": "-1"}
    )
    assert response.status_code == 413


# -- the headers of every answer ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/api/v1/studies", "/api/v1/nothing", "/nothing", "/healthz"])
def test_browsers_are_told_to_be_careful(world: Api, path: str) -> None:
    headers = world.client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["cache-control"] == ("no-store" if path.startswith("/api/") else "no-cache")
    assert "server" not in headers


def test_the_pages_have_their_types(world: Api) -> None:
    page = world.client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["etag"]
    script = world.client.get("/js/main.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert world.client.get("/", headers={"If-None-Match": page.headers["etag"]}).status_code == 304


@pytest.mark.parametrize(
    "path",
    [
        "/../app.py",
        "/..%2fapp.py",
        "/%2e%2e/app.py",
        "/js/..%2f..%2fapp.py",
        "/..%5capp.py",
        "/%00",
        "/js/%00main.js",
        "/" + "a" * 5000,
    ],
)
def test_no_path_leads_out_of_the_pages(world: Api, path: str) -> None:
    response = world.client.get(path)
    assert response.status_code == 404
    assert "create_app" not in response.text


# -- names and folders --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "%2e%2e",
        "..%2f..%2fetc",
        "a%2fb",
        "a%00b",
        "%3Cscript%3E",
        "a%0ab",
        ".hidden",
        "-x",
        "a%20b",
        "%F0%9F%92%A9",
    ],
)
def test_a_name_that_no_study_has_reaches_nothing(world: Api, name: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    for method, path in (
        ("GET", f"/studies/{name}"),
        ("DELETE", f"/studies/{name}"),
        ("POST", f"/studies/{name}/stop"),
        ("GET", f"/tasks/{name}"),
    ):
        response = world.client.request(method, f"/api/v1{path}", json={} if method == "POST" else None)
        assert response.status_code in (404, 405, 422), (method, path)
        assert response.headers["content-type"] == PROBLEM
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def own_tasks(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks"
    shutil.copytree(bundled.folder("tasks") / "function_2d", folder / "mine")
    outside = tmp_path / "outside"
    shutil.copytree(bundled.folder("tasks") / "function_2d", outside / "secret")
    (folder / "link").symlink_to(outside / "secret", target_is_directory=True)
    (folder / "up").symlink_to("..", target_is_directory=True)
    half = folder / "half"
    half.mkdir()
    (half / "task.toml").symlink_to(outside / "secret" / "task.toml")
    (folder / "broken").mkdir()
    (folder / "broken" / "task.toml").write_text("schema = 1\nname = 3\n")
    (folder / "file").write_text("x")
    return folder


def test_tasks_come_from_the_folders_that_were_named(tmp_path: Path, own_tasks: Path) -> None:
    with api(tmp_path, tasks_dirs=(own_tasks,)) as world:
        listed = {t["name"]: t for t in world.get("/tasks")["items"] if t["source"] == "folder"}
        assert set(listed) == {"mine", "broken"}
        assert listed["broken"]["problem"]
        assert listed["mine"]["problem"] == ""
        assert world.get("/info")["tasks_dirs"] == ["tasks"]
        made = world.enter(name="a", task="mine")
        assert made["state"] == "queued"
        for name in ("link", "up", "half", "file", "secret"):
            world.get(f"/tasks/{name}", 404)
            world.post("/studies", {"task": name, "method": "expert"}, 422)
        world.post("/studies", {"task": "broken", "method": "expert"}, 422)
        world.get("/tasks/broken", 422)


def test_a_readme_that_leads_elsewhere_is_not_read(tmp_path: Path, own_tasks: Path) -> None:
    (tmp_path / "passwords").write_text("hunter2")
    readme = own_tasks / "mine" / "README.md"
    readme.unlink()
    readme.symlink_to(tmp_path / "passwords")
    with api(tmp_path, tasks_dirs=(own_tasks,)) as world:
        assert world.get("/tasks/mine")["readme"] == ""


def test_a_folder_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"), api(tmp_path, tasks_dirs=(tmp_path / "missing",)):
        pass


# -- what is written back -----------------------------------------------------------------------------------


def test_hostile_words_come_back_as_data(world: Api) -> None:
    hostile = "<img src=x onerror=alert(1)> ${7*7} {{7*7}} '; DROP TABLE tcs_study; --"
    manifest: dict[str, Any] = MANIFEST | {"title": hostile, "description": hostile}
    made = world.enter(manifest=manifest, description=hostile)
    assert made["title"] == made["description"] == hostile
    response = world.client.get("/api/v1/studies", params={"q": hostile[:50]})
    assert response.headers["content-type"] == "application/json"
    assert response.json()["items"][0]["title"] == hostile
    page = world.client.get("/api/v1/studies/s/report.html")
    assert "<img src=x" not in page.text


def test_control_characters_in_a_search_or_a_question_do_no_harm(world: Api) -> None:
    world.enter()
    assert world.get("/studies", q="\x00\x1b[31m")["items"] == []
    world.post("/studies/s/questions", {"question": "why\x00?"}, 422)
    world.post("/studies", {"task": "function_2d", "method": "expert", "description": "a\x1b[31m"}, 422)
