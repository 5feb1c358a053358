"""Debian's docker-registry on loopback, with or without a password, that stops by itself."""

from __future__ import annotations

import http.client
import socket
import subprocess
from pathlib import Path

from launcher.engine.connection import DockerConnection
from launcher.imageref import split
from tests.support.wait import wait_until

# htpasswd of user "ann", password "secret" (bcrypt, which is all that the registry reads), at the
# least cost there is: it is paid at each request of a pull.
HTPASSWD = "ann:$2b$04$aIMiLhxh73cz5uCEtJ0UOuD.6YirThv69KBTO65jmeN/umPcdB5Ey\n"


class Registry:
    """One registry process."""

    def __init__(self, directory: Path, *, htpasswd: str | None = None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        directory.mkdir(parents=True, exist_ok=True)
        config = directory / "config.yml"
        text = (
            "version: 0.1\nlog: {level: error}\n"
            f"storage: {{filesystem: {{rootdirectory: {directory / 'data'}}}}}\n"
            f"http: {{addr: '{self.host}'}}\n"
        )
        if htpasswd:
            (directory / "htpasswd").write_text(htpasswd)
            text += f"auth: {{htpasswd: {{realm: test, path: {directory / 'htpasswd'}}}}}\n"
        config.write_text(text)
        self._log = (directory / "log").open("wb")
        self._process = subprocess.Popen(
            ["docker-registry", "serve", str(config)], stdout=self._log, stderr=self._log
        )
        wait_until(self._answers, what="the registry answers")

    def _answers(self) -> bool:
        assert self._process.poll() is None, "the registry ended"
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
            connection.request("GET", "/v2/")
            connection.getresponse().read()
            connection.close()
        except OSError:
            return False
        return True

    def push(
        self, docker_host: str, image: str, name: str, auth: dict[str, str] | None = None
    ) -> str:
        """Push a local image under a name, forget it locally; returns the reference."""
        api = DockerConnection(docker_host).api()
        reference = f"{self.host}/{name}"
        repository, tag = split(reference)
        api.tag(image, repository, tag)
        for line in api.push(repository, tag, stream=True, decode=True, auth_config=auth or {}):
            assert "error" not in line, line
        api.remove_image(reference)
        return reference

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)
        self._log.close()
