"""Batch scripts of Slurm given to submit: an answer for each header, in a job file's words.

The shapes are those of public scripts for one machine's GPUs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.errors import JobFileError
from launcher.jobfile import load
from launcher.jobfile.reading.batch_script import answers_to, check_script
from launcher.jobfile.reading.sbatch_words import WORDS, instead_of

OUT = "leave it out: "
LOGS = f"{OUT}the daemon keeps the output"
HERE = f"{OUT}there are no partitions, accounts or nodes here"
ONE = f"{OUT}a job is one container on this machine"
MAIL = "notify: mail"

SHAPES: dict[str, list[tuple[str, list[str]]]] = {
    "one GPU": [
        ("--job-name=DN121_fscr_hflip", ["name: DN121_fscr_hflip"]),
        ("--nodes=1", [ONE]),
        ("--gres=gpu:1", ["gpus: 1g.6gb"]),
        ("--cpus-per-task=6", ["cpus: 6"]),
        ("--mem=16GB", ["mem_limit: 16gb"]),
        ("--time=24:00:00", ['schedule: {time_limit: "24h"}']),
    ],
    "short options": [
        ("-p gpu", [HERE]),
        ("-n 4", [ONE]),
        ("-t 02:00:00", ['schedule: {time_limit: "2h"}']),
        ("-o slurm-%j.out", [LOGS]),
        ("-e slurm-%j.err", [LOGS]),
        ("-J train", ["name: train"]),
    ],
    "a MIG slice by its profile": [
        ("-A power-users_v2", [HERE]),
        ("--gres=gpu:1g.10gb:1", ["gpus: 1g.10gb"]),
    ],
    "a board by its name": [
        ("--gres=gpu:h200:2", ["gpus: 1g.6gb:2"]),
        ("--constraint=a40", [HERE]),
        ("--gpus 4", ["gpus: 1g.6gb:4"]),
        ("-G1", ["gpus: 1g.6gb"]),
    ],
    "several options in a line, and comments": [
        ("-p gpu --gres=gpu:1   # one of them", [HERE, "gpus: 1g.6gb"]),
        ("--cpus-per-task=8 -N 1", ["cpus: 8", ONE]),
    ],
    "an array": [
        ("--array=0-10%1", ['array: "0-10%1"']),
        ("-a 1-9:2", ['array: "1-9:2"']),
        ("--output=array_%A_%a.out", [LOGS]),
    ],
    "days": [
        ("--time=7-00:00:00", ['schedule: {time_limit: "168h"}']),
        ("--time=1-00:00", ['schedule: {time_limit: "24h"}']),
        ("--time=1-0", ['schedule: {time_limit: "24h"}']),
        ("--time=15:0:0", ['schedule: {time_limit: "15h"}']),
        ("-t 90", ['schedule: {time_limit: "1h30m"}']),
        ("-t 4:30", ['schedule: {time_limit: "4m30s"}']),
    ],
    "a signal and a new start": [
        ("--signal=USR1@120", ['schedule: {signal: "SIGUSR1@120s"}']),
        ("--signal=B:SIGUSR1@90", ['schedule: {signal: "SIGUSR1@90s"}']),
        ("--signal=15@180", ['schedule: {signal: "SIGTERM@180s"}']),
        ("--requeue", ["schedule: {retries: 3}"]),
        ("--open-mode=append", [LOGS]),
    ],
    "dependencies": [
        ("--dependency=singleton", ["schedule: {singleton: true}"]),
        ("--dependency=afterany:5932351", ['depends_on: {"5932351": {condition: afterany}}']),
        ("-d afterok:$PREP", ["depends_on: {JOB: {condition: afterok}}"]),
    ],
    "mail": [
        ("--mail-type=END,FAIL", [MAIL]),
        ("--mail-user=somebody@example.org", [MAIL]),
        ("--qos=normal", [HERE]),
        ("--account=lab", [HERE]),
    ],
    "a whole machine": [
        ("--nodes=2", [ONE]),
        ("--ntasks-per-node=1", [ONE]),
        ("--gpus-per-node=8", ["gpus: 1g.6gb:8"]),
        ("--exclusive", ["gpus: full"]),
        ("--mem=0", [f"{OUT}the memory that goes with the slice"]),
        ("--job-name=adlr-nlp:retro-mcore", ["name: adlr-nlp-retro-mcore"]),
    ],
    "a container": [
        ('--container-image="nvcr.io/nvidia/pytorch:24.11-py3"',
         ["image: nvcr.io/nvidia/pytorch:24.11-py3"]),
        ("--container-mounts=/data:/data", ['volumes: ["/data:/data"]']),
        ("-D /work", ["working_dir: /work"]),
        ("--export=ALL,A=1", ["environment: {NAME: VALUE}"]),
        ("--mem-per-cpu=3900M", [f"{OUT}`-m` and `mem_limit` are the memory of the whole job"]),
    ],
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_each_header_is_answered_in_a_job_file_s_words(shape: str) -> None:
    for header, answers in SHAPES[shape]:
        found = [answer for _, answer in answers_to(header)]
        assert len(found) == len(answers), header
        for answer, expected in zip(found, answers, strict=True):
            assert answer.startswith(expected), header


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_to_be_written_is_a_job_file(shape: str, tmp_path: Path) -> None:
    for header, _ in SHAPES[shape]:
        for _, answer in answers_to(header):
            key = answer.partition(" (")[0]
            if answer.startswith(OUT) or "JOB" in key:
                continue
            file = tmp_path / "job.yaml"
            image = "" if key.startswith("image:") else "image: x\n"
            file.write_text(f"{image}{key}\n")
            assert load([str(file)]), key


def test_a_batch_script_is_refused_with_its_lines(tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/bash\n#SBATCH -J x\n# more\n#SBATCH --mem=4G -p gpu\npython x.py\n")
    with pytest.raises(JobFileError) as refused:
        load([str(script)])
    assert refused.value.message.endswith(
        "job.sh:2:1: this is a batch script of Slurm, not a job file"
    )
    assert (refused.value.fix or "").splitlines()[1:4] == [
        "  line 2: -J x  ->  name: x",
        "  line 4: --mem=4G  ->  mem_limit: 4g (512m or 24g)",
        f"  line 4: -p gpu  ->  {HERE}",
    ]


def test_another_script_is_refused_too_and_a_job_file_is_not() -> None:
    with pytest.raises(JobFileError, match="this is a script, not a job file"):
        check_script("#!/usr/bin/env python\nprint(1)\n", "a.py")
    check_script("# a comment\nimage: x\n", "a.yaml")
    check_script("image: x  #SBATCH --mem=4G\n", "a.yaml")


def test_of_many_headers_the_first_are_answered() -> None:
    with pytest.raises(JobFileError) as refused:
        check_script("#SBATCH -J x\n" * 5000, "a.sh")
    assert "and 4960 lines more" in (refused.value.fix or "")


@pytest.mark.parametrize(
    "header", ['--job-name="open', "--", "-", "x", "--mem", "-J", "--no-such=1"]
)
def test_what_cannot_be_read_is_answered_too(header: str) -> None:
    assert all(answer for _, answer in answers_to(header))


def test_every_option_has_an_answer_on_the_command_line_too() -> None:
    for word in WORDS:
        for name in word.names:
            assert (instead_of(name) or "").startswith(f"{name} is Slurm's: ")
    assert instead_of("--jobname") is None
