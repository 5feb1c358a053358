"""What an image brings: its configuration, and its accounts, from a container that never starts.

An image's content never changes, so each is read once.
"""

from __future__ import annotations

import contextlib
import io
import logging
import secrets
import tarfile
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock

from launcher.core.policy.image_rules import has_few_volumes
from launcher.engine.connection import DockerConnection
from launcher.engine.images import ImageConfig, Images
from launcher.engine.outcome import Refusal, Refused
from launcher.errors import EngineError, EngineUnavailable

log = logging.getLogger(__name__)

LABEL_READING = "launcher.reading"
"""The store whose daemon reads an image through this container."""
MOST_FILE = 128 * 1024
"""A larger passwd or group file counts as empty."""
MOST_IMAGES = 512
LEFT_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """An image's configuration, the texts of /etc/passwd and /etc/group, and a login shell."""

    config: ImageConfig = field(default_factory=ImageConfig)
    passwd: str = ""
    group: str = ""
    shell: str = "/bin/sh"


class ImageFiles:
    """Reads and remembers images' facts. Safe in any thread; methods raise as Docker's calls do."""

    def __init__(self, connection: DockerConnection, images: Images) -> None:
        self._connection, self._images = connection, images
        self._known: OrderedDict[str, ImageFacts] = OrderedDict()
        self._lock = Lock()

    def facts(self, image_id: str) -> ImageFacts:
        """Return the facts of an image; empty ones if it is gone.

        Without accounts where Docker refuses to read them, such as on a full disk.
        """
        with self._lock:
            known = self._known.get(image_id)
        if known is not None:
            return known
        config = self._images.config(image_id)
        if not has_few_volumes(config.volumes):  # no container of it is ever created
            return ImageFacts(config)
        try:
            facts = self._read(image_id, config)
        except Refused as refused:  # a job can do without the image's own accounts
            log.warning("cannot read the accounts of %s: %s", image_id, refused.message)
            return ImageFacts(config)
        with self._lock:
            self._known[image_id] = facts
            while len(self._known) > MOST_IMAGES:
                self._known.popitem(last=False)
        return facts

    def config(self, image_id: str) -> ImageConfig:
        """Return the configuration of an image; empty if it is gone."""
        return self.facts(image_id).config

    def sweep(self) -> None:
        """Remove containers that an earlier daemon used for reading; another one may be reading."""
        with self._connection.borrow() as api:
            left = api.containers(all=True, filters={"label": LABEL_READING, "status": "created"})
        for container in left:
            if container["Created"] < time.time() - LEFT_SECONDS:
                self._remove(str(container["Id"]))

    def _read(self, image_id: str, config: ImageConfig) -> ImageFacts:
        body = {
            "Image": image_id,
            "Entrypoint": ["true"],
            "Labels": {LABEL_READING: "yes"},
            "HostConfig": {"NetworkMode": "none", "Runtime": "runc"},
        }
        name = f"launch-reading-{secrets.token_hex(8)}"
        with self._connection.borrow() as api:
            container = str(api.create_container_from_config(body, name)["Id"])
        try:
            passwd, group = (self._text(container, f"/etc/{name}") for name in ("passwd", "group"))
            shell = "/bin/bash" if self._exists(container, "/bin/bash") else "/bin/sh"
        finally:
            with contextlib.suppress(EngineUnavailable, EngineError):
                self._remove(container)
        return ImageFacts(config, passwd, group, shell)

    def _remove(self, container: str) -> None:
        with self._connection.borrow() as api:
            api.remove_container(container, v=True, force=True)

    def _exists(self, container: str, path: str) -> bool:
        with self._connection.borrow() as api:
            url = self._connection.url(api, f"/containers/{container}/archive")
            return bool(api.head(url, params={"path": path}, timeout=api.timeout).ok)

    def _text(self, container: str, path: str) -> str:
        """Return a regular file's text; empty if it is missing, something else, or too large."""
        try:
            with self._connection.borrow() as api:
                stream, _ = api.get_archive(container, path)
                return _first_file(stream)
        except Refused as refused:
            if refused.refusal in (Refusal.MISSING, Refusal.IMAGE_MISSING):
                return ""
            raise


def _first_file(stream: Iterable[bytes]) -> str:
    data = bytearray()
    for piece in stream:
        data += piece
        if len(data) > MOST_FILE + 64 * 1024:
            return ""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            member = archive.next()
            if member is None or not member.isreg() or member.size > MOST_FILE:
                return ""
            file = archive.extractfile(member)
            return "" if file is None else file.read().decode("utf-8", "replace")
    except (tarfile.TarError, EOFError):
        return ""
