"""Variables in Compose files: the caller's, those of ``.env``, and what they may make of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.plain_work import cost
from tests.unit.jobfile.compose.files import Reading, service


def test_values_are_substituted_and_keys_are_not() -> None:
    reading = service(
        "command: [a, '${X}', $X$$X]\nenvironment: {$X: '${X:-y}'}\nworking_dir: /${X}", X="v"
    )
    assert "'$X' is not a valid variable name" in reading.said[0]
    reading = service("command: [a, '${X}', $X$$X]\ngpus: ${G:-all}\nworking_dir: /${X}", X="v")
    assert reading.job.command == ("a", "v", "v$X")
    assert reading.job.working_dir == "/v"
    assert reading.job.gpus.kind == "all"


def test_what_a_variable_makes_is_a_number_or_a_truth_where_one_is_asked_for() -> None:
    assert service("cpus: ${N}\ndeploy: {replicas: '${ONE:-1}'}", N="0.5").job.cpus == 0.5
    assert service("x-launcher: {}\nprivileged: ${P:-false}").job.image == "x"
    assert service("environment: {A: '${EMPTY}', B: '${NULL}'}", EMPTY="", NULL="null").job \
        .environment == {"A": "", "B": "null"}  # fmt: skip


def test_a_name_without_a_value_takes_the_clients_or_that_of_the_dotenv_file(
    tmp_path: Path,
) -> None:
    (tmp_path / ".env").write_text("A=file\nB=file\nBAD-NAME.x=1\n")
    for written in ("[A, B, C]", "{A: , B: , C: }"):
        job = service(f"environment: {written}", base=tmp_path, B="shell").job
        assert job.environment == {"A": "file", "B": "shell"}


def test_the_dotenv_file_is_read_and_the_shell_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('TAG=file\nROOT=/data # here\nSET="${ROOT}/set"\n')
    reading = service("command: ['${TAG}', '${SET}']", base=tmp_path, TAG="shell")
    assert reading.job.command == ("shell", "/data/set")
    (tmp_path / ".env").write_text("A=1\nB='x\n")
    (said,) = service("command: ['${TAG}']", base=tmp_path).said
    assert said == f"{tmp_path}/.env:2:1: the quote ' is not closed"


def test_a_dotenv_that_is_a_directory_is_not_read(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert service("command: ['${A:-1}']", base=tmp_path).job.command == ("1",)


def test_a_variable_that_is_not_set_is_told_once_with_its_place() -> None:
    reading = service("command: [a, '${NO}', $NO]")
    assert reading.job.command == ("a", "", "")
    (notice,) = reading.notices
    assert notice.startswith("4:18: the variable NO is not set, and becomes nothing (write $$")


def test_a_wrong_variable_is_told_with_the_other_mistakes() -> None:
    reading = service("command: ['${A:?give A}', '${B', '${C!}']\nworking_dir: ${D?}\npid: host")
    assert [each.split(": ")[0] for each in reading.said] == ["4:15", "4:31", "4:38", "5:18", "6:5"]
    assert "the variable A has no value: give A" in reading.said[0]


def test_a_service_that_is_not_picked_needs_no_variables() -> None:
    text = "services:\n  a: {image: x}\n  b: {image: '${TAG:?}'}\n"
    assert Reading(text, "a").job.image == "x"
    assert "TAG has no value" in Reading(text).said[0]


def test_a_value_that_no_program_can_be_given_is_refused() -> None:
    (said,) = service("command: ['$A']", A="\udcff").said
    assert "the value of a variable here is not text" in said


@pytest.mark.parametrize(
    ("text", "client"),
    [
        ("command: [" + "$A$A$A$A," * 5_000 + "]", {"A": "x" * 100_000}),
        ("command: '" + "${A:-" * 40_000 + "}" * 40_000 + "'", {}),
        ("command: '" + "${A" * 60_000 + "'", {}),
        ("command: ['" + "${B:-$A}" * 20_000 + "']", {"A": "x" * 100_000}),
        (
            "x-a: &a ['" + "$A" * 10_000 + "']\n    command: [" + "*a," * 9_000 + "]",
            {"A": "x" * 999},
        ),
        ("command: [" + "'${N:?no}'," * 18_000 + "]", {}),
    ],
)
def test_variables_cost_little_however_they_are_nested(text: str, client: dict[str, str]) -> None:
    assert cost(lambda: service(text, **client)) < 100
    reading = service(text, **client)
    assert 1 <= len(reading.said) <= 51


def test_env_files_may_name_the_variables_of_the_job(tmp_path: Path) -> None:
    (tmp_path / "vars").write_text("OUT=${ROOT}/out\nMINE=$USER\nLATER=$OUT\n")
    keys = "env_file: vars\nenvironment: {ROOT: /data}"
    job = service(keys, base=tmp_path, USER="alice").job
    assert job.environment == {
        "ROOT": "/data", "OUT": "/data/out", "MINE": "alice", "LATER": "/data/out",
    }  # fmt: skip
