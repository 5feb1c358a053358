"""``launch`` for beginners: a first job file, the keys of job files, the manual, completion."""
