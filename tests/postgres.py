"""A PostgreSQL server for the tests: a cluster in a temporary folder, reached by a socket inside it.

    from tests.postgres import postgresql, postgresql_blank_url, postgresql_template, postgresql_url

Without the server's programs, tests that ask for it are skipped; with TCS_HPT_REQUIRE_POSTGRES=1 they fail.
"""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from optuna.storages import RDBStorage

from tcs_hpt.store import Store

REQUIRED = "TCS_HPT_REQUIRE_POSTGRES"
INITDB = ("-U", "tcs", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
SETTINGS = {
    "listen_addresses": "",  # no port to fight over
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "autovacuum": "off",
}


def server_programs() -> Path | None:
    """The folder of `initdb` and `postgres`; the newest, if there are several."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((f for f in folders if (f / "initdb").exists() and (f / "postgres").exists()), None)


def server_user() -> str:
    """Who runs the server, which refuses to run as root."""
    if os.geteuid() != 0:
        return getpass.getuser()
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


class Server:
    """A running cluster.

    Args:
        programs: The folder of the server's programs.
        folder: An empty folder with a short path; it holds the data, the log and the socket.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        self.folder = folder
        user = server_user()
        self._as_user: dict[str, Any] = {"cwd": folder, "stdin": subprocess.DEVNULL}
        if os.geteuid() == 0:
            entry = pwd.getpwnam(user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
            self._as_user |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        made = subprocess.run(
            [str(programs / "initdb"), "-D", str(folder / "data"), *INITDB],
            capture_output=True,
            text=True,
            check=False,
            **self._as_user,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        # Where the tests are killed, nobody is left to stop the server.
        guard = ["setpriv", "--pdeathsig", "INT"] if shutil.which("setpriv") else []
        with open(folder / "log", "w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [*guard, programs / "postgres", "-D", folder / "data", "-k", folder, *options],
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for pytest, which then stops the server
                **self._as_user,
            )

    def url(self, database: str) -> str:
        """The URL of a database, as a person would write it."""
        return f"postgresql://tcs@/{database}?host={self.folder}"

    def wait(self, seconds: float = 60.0) -> None:
        """Return once the server answers."""
        end = time.monotonic() + seconds
        while True:
            try:
                self.run("SELECT 1")
                return
            except sa.exc.OperationalError:
                log = (self.folder / "log").read_text(encoding="utf-8")
                assert self._process.poll() is None, log
                assert time.monotonic() < end, log
                time.sleep(0.02)

    def database(self, template: str = "template1") -> Iterator[str]:
        """The URL of a database of its own, which is gone afterwards."""
        name = f"t{uuid.uuid4().hex}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield self.url(name)
        self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def run(self, statement: str) -> None:
        """Run a statement, outside of any transaction."""
        url = sa.make_url(self.url("postgres")).set(drivername="postgresql+psycopg")
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.execute(sa.text(statement))

    def stop(self) -> None:
        """End the server and all its connections."""
        self._process.send_signal(signal.SIGINT)  # "fast": it ends its sessions itself
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(10)


def missing(reason: str) -> None:
    """Skip the test that needs the server, or fail it where the server must be there."""
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{reason}, and {REQUIRED}=1 says that it must be there")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A server for the whole session."""
    programs = server_programs()
    if programs is None:
        missing("PostgreSQL's server programs are not installed")
        return
    try:
        import psycopg  # noqa: F401
    except ImportError:
        missing("psycopg is not installed")
    # Not pytest's folder, which no other user may enter, and which is too long for the path of a socket.
    with tempfile.TemporaryDirectory(prefix="tcs-pg-", ignore_cleanup_errors=True) as folder:
        server = Server(programs, Path(folder))
        try:
            server.wait()
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgresql_template(postgresql: Server) -> str:
    """A database with all tables and no study, to be copied: making the tables anew takes much longer."""
    name = "prepared"
    postgresql.run(f"CREATE DATABASE {name}")
    with Store.open(postgresql.url(name)) as store:
        RDBStorage(store.url).engine.dispose()
    return name


@pytest.fixture
def postgresql_blank_url(postgresql: Server) -> Iterator[str]:
    """A database without any tables."""
    yield from postgresql.database()


@pytest.fixture
def postgresql_url(postgresql: Server, postgresql_template: str) -> Iterator[str]:
    """A database with the tables of a store and nothing in them."""
    yield from postgresql.database(postgresql_template)
