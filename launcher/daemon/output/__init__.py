"""The output of jobs: has it recorded, counts and deletes log files."""
