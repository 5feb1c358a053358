"""The Debian package on a machine that systemd has booted: run by ``make test-deb`` alone."""
