"""A real `launch web` beside a daemon, as a user of its own, and a real Prometheus."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support.daemon import LAUNCH, DaemonProcess
from tests.support.user import OrdinaryUser
from tests.support.wait import wait_until

LONGEST_SECONDS = 100
"""A Prometheus that a test forgets ends by itself."""


class Listening:
    """A process that says in its log where it listens."""

    def __init__(self, words: list[str], environment: dict[str, str], said: str) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="web-"))
        self.log = self.place / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                words, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(lambda: self._address(said), timeout=20, what=str(self.log))
        self.url = f"http://{self._address(said)}"

    def _address(self, said: str) -> str | None:
        text = self.log.read_text()
        assert self.process.poll() is None, text
        found = re.search(said, text)
        return None if found is None else found[1]

    def get(self, path: str) -> tuple[int, str]:
        """Return the status and the body of a reply."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def stop(self) -> int:
        """End it in order; returns its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(20)

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.place, ignore_errors=True)


class WebProcess(Listening):
    """``launch web`` on a free port of this machine."""

    def __init__(self, daemon: DaemonProcess, user: OrdinaryUser) -> None:
        environment = user.environment | {"LAUNCHER_SOCKET": str(daemon.socket)}
        words = [*user.command(docker=False), *LAUNCH, "web", "--listen", "127.0.0.1:0"]
        words += ["--config", str(daemon.config)]
        super().__init__(words, environment, r"listening on http://(\S+)")

    def families(self) -> dict[str, Any]:
        """Return all metrics by their names, as Prometheus' library reads them."""
        status, text = self.get("/metrics")
        assert status == 200
        return {family.name: family for family in text_string_to_metric_families(text)}

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples with these labels."""
        return sum(
            sample.value
            for family in self.families().values()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


class PrometheusProcess(Listening):
    """Prometheus on a free port of this machine, with these rules; it scrapes every second."""

    def __init__(self, place: Path, target: str, rules: Path) -> None:
        config = {
            "global": {
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
                "evaluation_interval": "1s",
            },
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "launcher", "static_configs": [{"targets": [target]}]}],
        }
        (place / "prometheus.yaml").write_text(json.dumps(config))
        words = ["timeout", str(LONGEST_SECONDS), "prometheus"]
        words += [f"--config.file={place / 'prometheus.yaml'}", "--web.listen-address=127.0.0.1:0"]
        words += [f"--storage.tsdb.path={place / 'tsdb'}"]
        super().__init__(words, {"PATH": "/usr/bin:/bin"}, r'Listening on".*address=(127\.\S+)')

    def is_ready(self) -> bool:
        """Whether it answers queries."""
        return self.get("/-/ready")[0] == 200

    def query(self, path: str) -> Any:
        """Return the data of a request to its API."""
        status, text = self.get(f"/api/v1/{path}")
        assert status == 200, text
        return json.loads(text)["data"]

    def firing(self) -> dict[str, dict[str, str]]:
        """Return the labels of each alert that fires, by its name."""
        alerts = self.query("alerts")["alerts"]
        return {
            each["labels"]["alertname"]: each["labels"]
            for each in alerts
            if each["state"] == "firing"
        }
