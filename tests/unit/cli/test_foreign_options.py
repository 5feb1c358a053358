"""Options that people bring from Slurm and Docker: what to write instead is said."""

from __future__ import annotations

import pytest

from tests.unit.cli.launch_command import Launch
from tests.unit.client.stub_daemon import StubDaemon


@pytest.mark.parametrize("verb", ["run", "host", "submit"])
@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("-J", "-J is Slurm's: write --name VALUE"),
        ("--job-name=x", "--job-name is Slurm's: write --name VALUE"),
        ("--gres=gpu:1", "--gres is Slurm's: write --profile 1g.6gb (a slice, or `full`"),
        ("--mem=8G", "--mem is Slurm's: write -m VALUE"),
        ("--cpus-per-task=4", "--cpus-per-task is Slurm's: write --cpus VALUE"),
        ("--partition=gpu", "--partition is Slurm's: leave it out, there are no partitions"),
        ("--mail-type=END", "--mail-type is Slurm's: write --notify mail (`launch explain notify`"),
        ("--exclusive", "--exclusive is Slurm's: write --gpus full"),
        ("--requeue", "--requeue is Slurm's: write --retries 3"),
        ("--error=x", "--error is Slurm's: leave it out, the daemon keeps the output"),
    ],
)
def test_it_is_said_what_to_write_instead(
    stub: StubDaemon, launch: Launch, verb: str, option: str, said: str
) -> None:
    result = launch(verb, option, "busybox", "true")
    assert (result.code, result.out, stub.did()) == (2, "", [])
    assert result.err.startswith(f"launch: {said}")


def test_an_option_of_docker_run_is_answered_too(launch: Launch) -> None:
    result = launch("run", "--mount", "type=bind", "busybox")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("launch: --mount is Docker's: write -v SOURCE:TARGET[:ro]\n")


def test_nothing_is_guessed_of_an_option_that_nobody_knows(launch: Launch) -> None:
    for words in (("run", "--jobname=x", "busybox"), ("ps", "--partition=gpu")):
        result = launch(*words)
        assert result.code == 2
        assert "Slurm" not in result.err
        assert "No such option" in result.err
