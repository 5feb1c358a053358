"""What users mount into containers: directories, and secrets as files in memory."""
