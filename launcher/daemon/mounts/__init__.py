"""Users' mounts in containers: directories, and secrets as files in memory."""
