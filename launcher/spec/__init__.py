"""What a job is: one specification, from the job file to the create body.

The client writes a ``JobSpec``, the API carries it as JSON, the store keeps it, the core decides by
it, and the engine makes a container of it: the same class and the same names everywhere.

This room imports the standard library and ``launcher.errors``; every other room may import it.
Nothing here reads files or asks Docker, and nothing is decided here.
"""
