"""What a job may ask for, by who asks for it, and what an admin sets."""
