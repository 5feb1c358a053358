"""The output of jobs: recording, counting and deleting log files."""
