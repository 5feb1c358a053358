"""The service on a machine that systemd has booted: run by ``make test-systemd`` alone."""
