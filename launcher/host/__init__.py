"""Host jobs: runs commands on the machine itself, each job's process tree in a cgroup of its own.

A small privileged helper (``python -m launcher.host``) creates the cgroups (``cgroup``), moves
processes into them and reports how they end (``jobs``, ``helper``). It outlives the daemon, so that
a restart loses neither a process tree nor its exit code. The daemon uses it through ``client``; the
command of a foreground job joins its cgroup through ``joining``, before it executes.

Standard library only; may import ``launcher.errors`` and modules beside this room.
"""
