"""The API behind a real proxy: nginx, under a path of a shared host that it takes off or leaves on."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from balances.models import Token
from dev.localstack import free_port
from tests.conftest import ROOT, database_url
from tests.polling import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.db, pytest.mark.api]

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

CONFIGURATION = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location /indexer/ {{
            {headers} proxy_set_header X-Forwarded-Prefix /indexer; proxy_pass http://127.0.0.1:{api}/;
        }}
        location /kept/ {{
            {headers} proxy_set_header X-Forwarded-Prefix /kept; proxy_pass http://127.0.0.1:{api};
        }}
    }}
}}
"""
# The client's address as Azure's gateway writes it, after what the client invented.
HEADERS = """
proxy_set_header Host balances.example.org;
proxy_set_header X-Forwarded-For "$http_x_forwarded_for, $remote_addr:$remote_port";
"""


@pytest.fixture
def proxy(transactional_db: None, tmp_path: Path) -> Iterator[str]:
    """The URL of nginx in front of the server that production has; 30 requests a minute are allowed."""
    if NGINX is None:
        pytest.skip("there is no nginx here (apt-get install nginx-light)")
    for symbol in "ABC":
        realm = "gno.land/r/demo/vouchers"
        key = f"{realm}.{symbol}"
        Token.objects.create(path=f"{key}.0000000", key=key, realm=realm, standard=True)
    api, port = free_port(), free_port()
    environment = {
        "DATABASE_URL": database_url(),
        "SECRET_KEY": "only-for-tests",
        "HTTPS": "false",
        "ALLOWED_HOSTS": "balances.example.org",
        "TRUSTED_PROXIES": "1",
        "THROTTLE_ADDRESS": "30/minute",
    }
    (tmp_path / "nginx.conf").write_text(CONFIGURATION.format(folder=tmp_path, port=port, api=api, headers=HEADERS))
    granian = [sys.executable, "-m", "granian", "--interface=wsgi", "--blocking-threads=2", "--no-ws", f"--port={api}"]
    with (
        running(tmp_path, *granian, "indexer_project.wsgi:application", **environment),
        running(tmp_path, NGINX, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")),
    ):
        until(lambda: answered(f"http://127.0.0.1:{api}/health"), "the API")
        until(lambda: answered(f"http://127.0.0.1:{port}/"), "nginx")
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running(folder: Path, *command: str, **environment: str) -> Iterator[None]:
    """A process for the time of the block."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={"PATH": os.environ["PATH"], **environment}, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def get(url: str, **headers: str) -> tuple[int, str]:
    """Status and body."""
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def answered(url: str) -> bool:
    try:
        return get(url)[0] > 0
    except OSError:
        return False


def test_pages_files_and_limits_are_right_behind_nginx(proxy: str) -> None:
    for prefix in ("/indexer", "/kept"):
        url, paths = f"{proxy}{prefix}/tokens?limit=1", []
        while url:
            status, text = get(url)
            assert status == 200, text
            body = json.loads(text)
            paths += [token["tokenPath"] for token in body["tokens"]]
            url = (body["next"] or "").replace("http://balances.example.org", proxy)
        assert [path[-9] for path in paths] == ["A", "B", "C"]
        for page in ("/docs", "/tokens", "/admin/login/"):
            text = get(f"{proxy}{prefix}{page}", Accept="text/html")[1]
            files = re.findall(rf'(?:src|href)="({prefix}/static/[^"]+)"', text)
            assert files, page
            assert get(f"{proxy}{files[0]}")[0] == 200
    statuses = {get(f"{proxy}/indexer/tokens", X_Forwarded_For=f"203.0.113.{number}")[0] for number in range(30)}
    assert statuses == {200, 429}, "neither what a client invents nor its port makes it another one"
    assert get(f"{proxy}/indexer/health")[0] == 200
