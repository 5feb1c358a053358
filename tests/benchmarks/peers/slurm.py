"""Slurm: munged, slurmctld and slurmd in the foreground, with a key and files of their own."""

from __future__ import annotations

import os
import stat

from tests.benchmarks.peers.peer import Bench, Peer, Run, output, version_of
from tests.benchmarks.peers.servers import Servers, environment
from tests.benchmarks.peers.trace import JOBS, SLOTS

CONF = """\
ClusterName=bench
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={place}/munge.sock
CredType=cred/munge
MpiDefault=none
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.pid
SlurmctldPort=16817
SlurmdPort=16818
GresTypes=gpu
NodeName=localhost NodeAddr=127.0.0.1 CPUs={slots} Gres=gpu:{slots} State=UNKNOWN
PartitionName=all Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


class Slurm(Peer):
    """One array job; the slot is the GPU that Slurm gives, four device nodes in its gres.conf."""

    name = "Slurm"
    slot = "$CUDA_VISIBLE_DEVICES"
    number = "$SLURM_ARRAY_TASK_ID"
    cannot = (
        "three daemons, a key and two files to write first; Debian's build does not ask NVML, so "
        "the slices stand in gres.conf by hand, and a changed layout needs a new file and a "
        "restart; starts at most one wave a second (with batch_sched_delay=0; its default makes "
        "that three seconds); `scancel` ends the docker client"
    )

    def __init__(self, bench: Bench, run: Run) -> None:
        super().__init__(bench, run)
        self.servers = Servers(run.place)
        self.env = environment(SLURM_CONF=str(run.place / "slurm.conf"))

    @classmethod
    def version(cls, bench: Bench) -> str:
        """All three daemons must be there."""
        version_of(["munged", "--version"], "munge", "slurm-wlm (munge)")
        version_of(["slurmd", "-V"], "slurm", "slurm-wlm (slurmd)")
        return version_of(["slurmctld", "-V"], "slurm", "slurm-wlm (slurmctld)")

    def start(self) -> None:
        """Start munged, then the controller, then the node."""
        self._write()
        place, start = self.run.place, self.servers.start
        munged = ["munged", "--foreground", "--force", f"--key-file={place}/key"]
        munged += [f"--socket={place}/munge.sock", f"--pid-file={place}/munged.pid"]
        start([*munged, f"--log-file={place}/munge.log", f"--seed-file={place}/seed"], self.env)
        self.servers.until((place / "munge.sock").exists, "munged's socket")
        start(["slurmctld", "-D"], self.env)
        start(["slurmd", "-D"], self.env)
        self.servers.until(self._idle, "the node is idle")

    def submit(self) -> None:
        """One call for all."""
        one = [f"--array=1-{JOBS}", "--gres=gpu:1", "--cpus-per-task=1", "--output=/dev/null"]
        output(["sbatch", *one, self.job()], self.env)

    def check(self) -> None:
        """A daemon that has ended."""
        self.servers.check()

    def stop(self) -> None:
        """End the daemons; slurmd ends once its last step has."""
        self.servers.stop()

    def _idle(self) -> bool:
        try:
            return output(["sinfo", "-h", "-o", "%T"], self.env).strip() == "idle"
        except RuntimeError:
            return False

    def _write(self) -> None:
        place = self.run.place
        for name in ("state", "spool"):
            (place / name).mkdir()
        (place / "key").write_bytes(os.urandom(1024))
        (place / "key").chmod(0o400)
        # gres.conf takes device nodes only; these have the numbers of /dev/null.
        for slot in range(SLOTS):
            os.mknod(place / f"gpu{slot}", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        (place / "slurm.conf").write_text(CONF.format(place=place, slots=SLOTS))
        if int(self.version(self.bench).split(".")[0]) >= 23:  # the ones before do not ask for it
            (place / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
        (place / "gres.conf").write_text(f"Name=gpu File={place}/gpu[0-{SLOTS - 1}]\n")
