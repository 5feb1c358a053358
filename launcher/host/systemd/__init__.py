"""Where systemd runs: a transient unit for each job, asked for over D-Bus."""
