"""What happens to jobs: submit, admission, attempts, retries, time limits, and users' commands."""
