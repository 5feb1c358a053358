"""The launcher as a service of systemd: its units, and where they go.

Two services, each with its socket: the daemon, shut in as far as its work allows, and the helper of
``launcher.mount_helper``, which must live in dockerd's mount namespace and so cannot be. Text with
the paths filled in; may import ``launcher.errors`` alone. Nothing here starts anything.
"""
