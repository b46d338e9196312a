"""A real PgBouncer between the tests and their database."""

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from django.db import connections

from dev import localstack

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

needs_pgbouncer = pytest.mark.skipif(
    PGBOUNCER is None, reason="there is no PgBouncer here: apt-get install pgbouncer (as .ci/run does where it can)"
)


@contextmanager
def pooler(folder: Path, mode: str, **settings: object) -> Iterator[str]:
    """Run a PgBouncer in `mode` (transaction, session, statement) and give the URL of the test database through it.

    `settings`: what else its configuration says. Nothing that a client asks for at its start is ignored unless so.
    """
    assert PGBOUNCER is not None
    of = connections["default"].settings_dict
    port = localstack.free_port()
    password = f" password='{of['PASSWORD']}'" if of["PASSWORD"] else ""
    lines = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "auth_type": "any",
        "unix_socket_dir": "",
        "pool_mode": mode,
        "default_pool_size": 10,
        "logfile": folder / "pgbouncer.log",
        **settings,
    }
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        f"[databases]\n* = host={of['HOST']} port={of['PORT'] or 5432} user={of['USER']}{password}\n"
        "[pgbouncer]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items())
    )
    command = [PGBOUNCER, "--quiet", str(configuration)]
    if os.geteuid() == 0:  # which PgBouncer refuses to be; the database's socket is for its owner alone
        owner = pwd.getpwuid(Path(of["HOST"]).stat().st_uid) if of["HOST"].startswith("/") else pwd.getpwnam("nobody")
        for path in (folder, configuration):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        for path in folder.parents:
            with suppress(PermissionError):
                path.chmod(path.stat().st_mode | 0o011)  # pytest's folders are for root alone
            if path.parent == Path("/tmp"):
                break
        command = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups", *command]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"postgresql://{quote(of['USER'], safe='')}@127.0.0.1:{port}/{quote(of['NAME'], safe='')}"
        _wait(url, process, folder)
        yield url
    finally:
        process.kill()
        process.wait()


def _wait(url: str, process: "subprocess.Popen[bytes]", folder: Path) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PgBouncer does not answer: {(folder / 'pgbouncer.log').read_text()}")
            time.sleep(0.02)
