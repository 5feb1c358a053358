"""Tests of launcher.web."""
