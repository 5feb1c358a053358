"""How users reach running jobs: their terminals, further commands in them, their ports."""
