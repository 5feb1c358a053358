"""The manual: every command of the tutorial and every script works, and `launch help` shows it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.cli.app import GROUPS
from launcher.cli.verbs.learn.help import TOPICS, page
from launcher.fakegpu.sandbox import Sandbox
from tests.acceptance.shell import Shell
from tests.support.images import import_image, remove_image
from tests.support.project import PROJECT

SPEC = "A30:1g.6gb*4"
README = PROJECT / "README.md"
PAGES = PROJECT / "launcher" / "manual"
VERBS = [verb for verbs in GROUPS.values() for verb in verbs]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
ELSEWHERE = {
    "git clone <this repository> launcher && cd launcher": "how a checkout is made",
    "make demo": "tests/acceptance/test_demo.py",
    "sudo apt-get update && sudo apt-get install -y python3-venv": "make test-systemd",
    "sudo python3 -m venv /opt/launcher && sudo /opt/launcher/bin/pip install"
    " -c .ci/constraints.txt .": "make test-systemd",
    "sudo /opt/launcher/bin/launch install-service && sudo systemctl daemon-reload": (
        "make test-systemd"
    ),
    "sudo systemctl enable --now launcher.service": "make test-systemd",
}
"""Commands of the README that are run elsewhere."""


@pytest.fixture(scope="module", autouse=True)
def busybox(sandbox: Sandbox) -> Iterator[None]:
    """The image that the pages name."""
    import_image(sandbox, "busybox", {})
    yield
    remove_image(sandbox, "busybox")


def blocks(text: str, *kinds: str) -> list[tuple[str, str]]:
    """Return the code blocks of a page in order, each with its language."""
    return [(kind, body) for kind, body in BLOCK.findall(text) if kind in kinds]


def run(launch: Shell, command: str) -> None:
    """Run a line as a user's shell would, and check that it succeeds."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-c", command],
        env=launch.environment | {"PATH": path},
        cwd=launch.directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)


@pytest.mark.parametrize("topic", ["tutorial", "python"])
def test_every_command_of_the_page_works_in_its_order(launch: Shell, topic: str) -> None:
    for kind, body in blocks(page(topic), "console", "yaml", "python"):
        if kind == "yaml":
            name = re.match(r"# (\S+\.yaml)\n", body)
            assert name is not None, body
            (launch.directory / name[1]).write_text(body)
        elif kind == "python":
            (launch.directory / "script.py").write_text(body)
            run(launch, "python script.py")
        else:
            for line in body.splitlines():
                assert line.startswith("$ "), line
                run(launch, line.removeprefix("$ "))


def test_every_command_of_the_readme_works_or_is_run_elsewhere(launch: Shell) -> None:
    found = blocks(README.read_text(), "console", "yaml")
    (file,) = (body for kind, body in found if kind == "yaml")
    text = re.sub(r"nvcr\.io\S+", "busybox", file).replace('"python", "train.py"', '"ls", "."')
    (launch.directory / "src").mkdir()
    (launch.directory / "train.py").write_text("")
    (launch.directory / "train.yaml").write_text(text)
    commands = [
        line.removeprefix("$ ")
        for kind, body in found
        for line in body.splitlines()
        if kind == "console" and line.startswith("$ ")
    ]
    assert commands
    assert [c for c in commands if not c.startswith("launch ")] == list(ELSEWHERE)
    for command in commands:
        if command.startswith("launch run -it "):
            code, shown = launch.on_terminal(
                *["run", "-it", "--profile", "1g.6gb", "busybox", "true"]
            )
            assert code == 0, shown
        elif command.startswith("launch "):
            stood = re.sub(r"nvcr\.io\S+|IMAGE", "busybox", command)
            run(launch, re.sub(r"python train\.py|cmd$", "true", stood))
    launch("cancel", "--user", "me", "--state", "pending")


def test_help_lists_the_topics_and_each_is_a_page(launch: Shell) -> None:
    listed = launch("help").ok().text
    for topic, summary in TOPICS.items():
        assert re.search(rf"(?m)^{topic} +{re.escape(summary)}$", listed)
        assert launch("help", topic).ok().text == (PAGES / f"{topic}.md").read_text()
    assert {path.stem for path in PAGES.glob("*.md")} == TOPICS.keys()
    assert set(re.findall(r"launcher/manual/([\w-]+)\.md", README.read_text())) == TOPICS.keys()


def test_help_of_a_verb_is_the_verbs_own(launch: Shell) -> None:
    for verb in ("run", "layout"):
        assert launch("help", verb).ok().text == launch(verb, "--help").ok().text


def test_help_of_what_is_neither_names_what_there_is(launch: Shell) -> None:
    done = launch("help", "lunch")
    assert done.code == 2
    assert "lunch is not a topic of the manual or a verb" in done.err


def test_on_a_terminal_a_page_is_formatted(launch: Shell) -> None:
    launch.environment["PAGER"] = "cat"
    code, text = launch.on_terminal("help", "tutorial")
    assert code == 0
    assert "In the background" in text
    assert "```" not in text


@pytest.mark.parametrize(
    ("word", "heading", "said"),
    [
        ("jupyter", "## Ports", "launch submit jobs/jupyter.yaml"),
        ("TensorBoard", "## Ports", "--port 6006"),
        ("vscode", "## Ports", "Remote-SSH"),
        ("notebook", "## Ports", "launch help interactive"),
        ("Notebooks", "## Ports", "launch help interactive"),
        ("ssh", "", "launch help laptop"),
    ],
)
def test_a_word_that_users_look_for_leads_to_a_section(
    launch: Shell, word: str, heading: str, said: str
) -> None:
    text = launch("help", word).ok().text
    assert text.startswith(heading or "#")
    assert said in text
    assert f"{word} is in these sections of the manual:" in text


@pytest.mark.parametrize("verb", VERBS)
def test_the_verbs_page_has_each_verb(verb: str) -> None:
    assert f"#### launch {verb}\n" in page("verbs")


@pytest.mark.parametrize("topic", TOPICS)
def test_links_between_pages_lead_somewhere(topic: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", page(topic)):
        if not link.startswith("https://"):
            assert (PAGES / link).is_file(), link
