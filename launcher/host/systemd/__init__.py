"""Jobs with systemd: a transient unit per job, requested over D-Bus."""
