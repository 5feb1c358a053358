"""What a job may request, by its owner, and what an admin sets."""
