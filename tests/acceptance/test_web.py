"""`launch web` beside a real daemon: metrics of real jobs, read by a real Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from launcher import Client
from launcher.errors import NotAllowed
from launcher.wire import EditRequest
from tests.acceptance.web_service import USER, user, web
from tests.conftest import MakeDaemon
from tests.support.daemon import CONFIG, DaemonProcess, as_user
from tests.support.project import PROJECT
from tests.support.user import OrdinaryUser
from tests.support.wait import wait_until
from tests.support.web import PrometheusProcess, WebProcess

MONITORING = PROJECT / "compose" / "monitoring"
RULES, DASHBOARD = MONITORING / "launcher.rules.yaml", MONITORING / "dashboard.json"
RULE_TESTS = PROJECT / "tests" / "data" / "monitoring" / "rules_test.yaml"
__all__ = ["user", "web"]
PARTS = ("", "_bucket", "_count", "_sum")


@pytest.fixture
def daemon(make_daemon: MakeDaemon, user: OrdinaryUser) -> DaemonProcess:
    textfile = user.home / "launcher.prom"
    config = f'{CONFIG}[users]\nobserver = "{USER}"\n[web]\ntextfile = "{textfile}"\n'
    made = make_daemon(config=config)
    return made.start()


def test_what_happens_to_a_job_is_counted(daemon: DaemonProcess, web: WebProcess) -> None:
    assert web.value("launcher_slices", state="free", profile="1g.6gb") == 4
    job = daemon.submit("sleep", "600")
    daemon.until(job, "RUNNING")
    wait_until(lambda: web.value("launcher_jobs", state="running") == 1)
    assert web.value("launcher_slices", state="leased") == 1
    assert web.value("launcher_slice_info", user="root", GPU_I_PROFILE="1g.6gb") == 1
    wait_until(lambda: web.value("launcher_slice_gib_seconds_total", user="root") > 0)
    wait_until(lambda: "launcher_gpu_memory_peak_bytes" in web.get("/metrics")[1])
    daemon.client.cancel(str(job.id))
    daemon.done(job)
    wait_until(lambda: web.value("launcher_jobs_ended_total", outcome="CANCELLED") == 1)
    for name in ("wait", "run", "turnaround"):
        assert web.value(f"launcher_job_{name}_seconds_count") == 1, name
    assert web.value("launcher_commit_seconds_count") > 0
    assert web.value("launcher_docker_up") == web.value("launcher_up") == 1
    wait_until(lambda: web.value("launcher_slices", state="free") == 4)


def test_it_outlives_the_daemon_says_that_it_is_away_and_finds_the_next_one(
    daemon: DaemonProcess, web: WebProcess
) -> None:
    assert web.get("/")[0] == 200
    daemon.kill()
    wait_until(lambda: web.get("/")[0] == 503)
    wait_until(lambda: web.value("launcher_up") == 0)
    assert web.get("/healthz") == (200, "ok\n")
    daemon.start()
    wait_until(lambda: web.value("launcher_up") == 1)
    assert web.get("/")[0] == 200
    assert web.value("launcher_start_duration_seconds", phase="reconcile") > 0


def test_a_damaged_database_is_shown_as_recovery_mode(
    daemon: DaemonProcess, web: WebProcess
) -> None:
    daemon.stop()
    (daemon.state / "launcher.db").write_bytes(b"not a database" * 1000)
    daemon.start(wait=False)
    wait_until(lambda: web.value("launcher_recovery_mode") == 1, timeout=20)
    assert web.value("launcher_up") == 1
    assert web.get("/")[0] == 200, "recovery mode answers `status`"


def test_the_file_for_node_exporter_is_there_until_the_service_ends(
    web: WebProcess, user: OrdinaryUser
) -> None:
    file = user.home / "launcher.prom"
    wait_until(file.exists)
    assert "launcher_up 1.0" in file.read_text()
    assert web.stop() == 0
    assert not file.exists()
    assert "Traceback" not in web.log.read_text()


def test_its_user_reads_what_every_user_sees_and_may_do_nothing_else(
    daemon: DaemonProcess, user: OrdinaryUser
) -> None:
    job = daemon.submit("sleep", "600")
    with as_user(user.uid):
        client = Client(str(daemon.socket))
        (seen,) = client.jobs()
        assert (seen.user, seen.command, seen.image) == ("root", None, None)
        assert client.metrics()
        for forbidden in (
            lambda: daemon.submit("true"),
            lambda: client.cancel(str(job.id)),
            lambda: client.requeue(str(job.id)),
            lambda: client.edit(str(job.id), EditRequest(time_limit=60.0)),
            lambda: list(client.logs(str(job.id))),
            lambda: client.queue.whatif([]),
            client.prune,
            client.disk,
            client.image.all,
            client.stop,
        ):
            with pytest.raises(NotAllowed, match="nobody is an observer"):
                forbidden()


def test_an_admin_who_requests_the_role_of_an_observer_has_no_other_rights(
    daemon: DaemonProcess,
) -> None:
    job = daemon.submit("sleep", "600")
    client = Client(str(daemon.socket), role="observer")
    (seen,) = client.jobs()
    assert (seen.id, seen.command) == (job.id, None)
    assert client.show(str(job.id)).spec is None
    with pytest.raises(NotAllowed):
        client.cancel(str(job.id))


def names_in(text: str) -> set[str]:
    """Return the names of the launcher's metrics in rules or a dashboard."""
    return set(re.findall(r"\blauncher_[a-z_]+", text))


def test_every_metric_of_the_rules_and_the_dashboard_is_served(web: WebProcess) -> None:
    served = {
        f"{family.name}{'_total' if family.type == 'counter' else ''}{part}"
        for family in web.families().values()
        for part in PARTS
    }
    board = json.loads(DASHBOARD.read_text())
    queries = [t["expr"] for panel in board["panels"] for t in panel.get("targets", ())]
    assert len(queries) > 30
    for text in (
        RULES.read_text(),
        "\n".join(queries),
        board["templating"]["list"][1]["definition"],
    ):
        wanted = names_in(text)
        assert wanted
        assert wanted <= served


def promtool(*words: str) -> str:
    done = subprocess.run(
        ["promtool", *words], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_the_rules_their_tests_and_the_configuration() -> None:
    promtool("check", "rules", str(RULES))
    promtool("check", "config", str(MONITORING / "prometheus.yaml"))
    promtool("test", "rules", str(RULE_TESTS))


def test_every_alert_names_its_machine_and_what_to_do() -> None:
    tested = RULE_TESTS.read_text()
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            if "alert" not in rule:
                continue
            assert rule["labels"]["severity"] in ("warning", "critical")
            assert "$labels.instance" in rule["annotations"]["summary"]
            assert len(rule["annotations"]["description"]) > 20
            assert f"alertname: {rule['alert']}\n" in tested, f"no test of {rule['alert']}"


def test_the_queries_of_the_dashboard_and_the_manual_are_valid(tmp_path: Path) -> None:
    board = json.loads(DASHBOARD.read_text())
    rules = [
        {"record": f"test:{panel['id']}:{n}", "expr": t["expr"].replace("$instance", ".*")}
        for panel in board["panels"]
        for n, t in enumerate(panel.get("targets", ()))
    ]
    manual = (PROJECT / "launcher" / "manual" / "monitoring.md").read_text()
    shown = re.findall(r"```promql\n(.*?)```", manual, re.DOTALL)
    assert len(shown) == 2
    rules += [{"record": f"test:manual:{n}", "expr": query} for n, query in enumerate(shown)]
    file = tmp_path / "queries.yaml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(file))


def test_a_real_prometheus_fires_for_a_slice_in_quarantine_and_for_nothing_else(
    daemon: DaemonProcess, web: WebProcess, tmp_path: Path
) -> None:
    rules = yaml.safe_load(RULES.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)  # minutes
    at_once = tmp_path / "rules.yaml"
    at_once.write_text(yaml.safe_dump(rules))
    prometheus = PrometheusProcess(tmp_path, web.url.removeprefix("http://"), at_once)
    try:
        wait_until(prometheus.is_ready, timeout=30)
        query = "query?query=launcher_up"
        wait_until(lambda: prometheus.query(query)["result"], timeout=30)
        assert prometheus.firing() == {}
        uuid = daemon.client.slices()[0].uuid
        daemon.machine.xid(uuid, 94)
        wait_until(lambda: "LauncherSliceQuarantined" in prometheus.firing(), timeout=30)
        labels = prometheus.firing()["LauncherSliceQuarantined"]
        assert (labels["profile"], labels["severity"]) == ("1g.6gb", "warning")
        assert prometheus.firing().keys() <= {"LauncherSliceQuarantined", "LauncherGpuErrors"}
        daemon.client.layout.drain(uuid, None)
        wait_until(lambda: "LauncherSliceQuarantined" not in prometheus.firing(), timeout=30)
    finally:
        prometheus.close()
