"""The state in memory with its indexes, and the only ways to change a job's state."""
