"""Tests of launcher.daemon.metrics."""
