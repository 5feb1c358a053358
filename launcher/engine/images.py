"""The image calls: find by reference, and pull with errors and layers read from the stream."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import tenacity

from launcher.core.model.own_image import TAGGED, KeptImage, kept_image
from launcher.crashpoints import around
from launcher.engine.connection import DockerConnection
from launcher.engine.outcome import Refusal, Refused, Unknown, error_text
from launcher.engine.slow_pulls import PullTooSlow, Speed
from launcher.errors import EngineError, EngineUnavailable, NotAllowed
from launcher.imageref import full_name, is_reference, split

QUIET_TIMES = 2
"""A pull that is silent for this many call time-outs has hung; Docker never gives up."""

DIGEST = "Digest: "
LAST_WORD = "Status: "
"""Docker's last status of a successful pull (moby distribution/pull.go, writeStatus)."""

_TRANSIENT = (
    "toomanyrequests",
    "timeout",
    "connection refused",
    "connection reset",
    "unexpected eof",
    "temporary failure",
    "internal server error",
    "service unavailable",
    "bad gateway",
)


@dataclass(frozen=True, slots=True)
class Layer:
    """Progress of one layer of a pull, in bytes; 0 if unknown."""

    id: str
    status: str
    current: int
    total: int


Progress = Callable[[dict[str, Layer]], None]


class PullFailed(EngineError):
    """The image cannot be pulled."""

    kind = "image-pull-failed"

    def __init__(self, message: str, *, transient: bool) -> None:
        self.transient = transient
        super().__init__(message)


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, Unknown) or (isinstance(error, PullFailed) and error.transient)


@dataclass(frozen=True, slots=True)
class LocalImage:
    """An image that Docker has, with its tags and its size in bytes."""

    id: str
    tags: tuple[str, ...]
    bytes: int


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What an image defines: its environment, and paths of its containers."""

    environment: Mapping[str, str] = field(default_factory=dict)
    working_dir: str | None = None
    volumes: tuple[str, ...] = ()
    architecture: str = ""


class Images:
    """The image calls."""

    def __init__(self, connection: DockerConnection) -> None:
        self._connection = connection

    def all(self) -> dict[str, str]:
        """Return every image id with one tag of the image, or its id if it has none."""
        with self._connection.borrow() as api:
            result = api.images()
        return {str(i["Id"]): str((i.get("RepoTags") or [i["Id"]])[0]) for i in result}

    def local(self) -> list[LocalImage]:
        """Return every image; layers that several share count for each."""
        with self._connection.borrow() as api:
            images = api.images()
        return [
            LocalImage(str(i["Id"]), tuple(map(str, i.get("RepoTags") or ())), int(i["Size"]))
            for i in images
        ]

    def remove(self, image_id: str, reference: str) -> bool:
        """Remove an image that has no other name; whether it is gone, or has got one.

        False while a container of it is left. Its name may stand for another image meanwhile.
        """
        try:
            with self._connection.borrow() as api:
                tags = api.inspect_image(image_id).get("RepoTags") or []
                if any(full_name(tag) != full_name(reference) for tag in tags):
                    return True  # somebody named it: it is theirs now
                api.remove_image(image_id)
        except Refused as refused:
            if refused.refusal is Refusal.CONFLICT:
                return False
            if refused.refusal not in (Refusal.IMAGE_MISSING, Refusal.MISSING):
                raise
        return True

    def name_of(self, image_id: str) -> str:
        """Return a tag of a local image; its id if it has none, or is gone."""
        try:
            with self._connection.borrow() as api:
                tags = api.inspect_image(image_id).get("RepoTags") or []
        except Refused:
            tags = []
        return str(tags[0]) if tags else image_id

    def find(self, reference: str) -> str | None:
        """Return the id of a local image, None if it is missing or the reference is invalid.

        Docker also matches prefixes of ids; here a name matches only images of that name.
        """
        if not is_reference(reference):
            return None
        try:
            with self._connection.borrow() as api:
                reply = api.inspect_image(reference)
            return str(reply["Id"]) if _has_name(reply, reference) else None
        except Refused as refused:
            # A reference that Docker calls invalid (USER) is missing; the pull reports the error.
            if refused.refusal in (Refusal.IMAGE_MISSING, Refusal.MISSING, Refusal.USER):
                return None
            raise

    def config(self, image_id: str) -> ImageConfig:
        """Return what an image defines; empty if it is gone."""
        try:
            with self._connection.borrow() as api:
                info = api.inspect_image(image_id)
        except Refused as refused:
            if refused.refusal in (Refusal.IMAGE_MISSING, Refusal.MISSING):
                return ImageConfig()
            raise
        config = info.get("Config") or {}
        return ImageConfig(
            dict(entry.partition("=")[::2] for entry in config.get("Env") or []),
            config.get("WorkingDir") or None,
            tuple(config.get("Volumes") or ()),
            str(info.get("Architecture") or ""),
        )

    def kept(self) -> list[KeptImage]:
        """Return the images that Docker keeps for users who loaded them."""
        with self._connection.borrow() as api:
            images = api.images(filters={"reference": f"{TAGGED}/*/*"})
        named = [(tag, image["Size"]) for image in images for tag in image.get("RepoTags") or ()]
        return [kept for tag, size in named if (kept := kept_image(tag, size)) is not None]

    def release(self, image: KeptImage) -> None:
        """Remove the name of a user's image, and the image with its last one; not while it runs.

        No effect if it is gone.
        """
        try:
            with self._connection.borrow() as api:
                api.remove_image(image.name, force=True)  # containers of ended jobs may be left
        except Refused as refused:
            if refused.refusal not in (
                Refusal.IMAGE_MISSING, Refusal.MISSING, Refusal.CONFLICT,
            ):  # fmt: skip
                raise

    def digest(self, image_id: str) -> str | None:
        """Return the repository digest of a local image, None if never pulled or pushed."""
        with self._connection.borrow() as api:
            digests = api.inspect_image(image_id).get("RepoDigests") or [None]
        return str(digests[0]) if digests[0] else None

    def login(self, registry: str, username: str, password: str) -> str:
        """Check credentials with a registry; return its status text (POST /auth).

        Raises ``NotAllowed`` if it rejects them, ``EngineUnavailable`` if Docker is unreachable.
        """
        credentials = {"username": username, "password": password, "serveraddress": registry}
        try:
            with self._connection.borrow() as api:
                response = api.post(self._connection.url(api, "/auth"), json=credentials)
                body = response.json() if response.content else {}
                status = response.status_code
        except Unknown as lost:
            raise EngineUnavailable(f"Docker did not return the response of {registry}") from lost
        if status not in (200, 204):
            raise NotAllowed(f"cannot log in to {registry}: {body.get('message') or status}")
        return str(body.get("Status") or "Login Succeeded")

    def pull(self, reference: str, auth: dict[str, str] | None, progress: Progress) -> str:
        """Pull an image and return its id; transient errors are retried, three attempts in all.

        ``auth`` has username and password, or identitytoken. Raises ``PullFailed`` with the
        registry's message, ``EngineUnavailable`` if Docker is unreachable.
        """
        if not is_reference(reference):
            raise PullFailed(f"{reference!r} is not an image reference", transient=False)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_transient),
            stop=tenacity.stop_after_attempt(3),
            wait=tenacity.wait_exponential(multiplier=0.5, max=10),
            reraise=True,
        )
        with around("pull"):
            digest = retrying(self._pull_once, reference, auth, progress)
        # By digest: another pull, with other credentials, may have changed the name meanwhile.
        result = digest and self.find(f"{split(reference)[0]}@{digest}")
        result = result or (None if digest else self.find(reference))
        if result is None:
            raise PullFailed(f"{reference} was pulled but is missing", transient=False)
        return result

    def _pull_once(
        self, reference: str, auth: dict[str, str] | None, progress: Progress
    ) -> str | None:
        """Pull once; return the digest that the registry sent, None if Docker reported none."""
        # docker-py's pull drops the stream's errors, has no timeout, and would send the
        # credentials of the daemon's user.
        repository, tag = split(reference)
        header = base64.urlsafe_b64encode(json.dumps(auth or {}).encode()).decode()
        with self._connection.borrow() as api:
            response = api.post(
                self._connection.url(api, "/images/create"),
                params={"fromImage": repository, "tag": tag},
                headers={"X-Registry-Auth": header},
                stream=True,
                timeout=(self._connection.timeout, QUIET_TIMES * self._connection.timeout),
            )
            with response:
                if response.status_code != 200:
                    text = error_text(response.text)
                    raise PullFailed(text, transient=_passing(text))
                return self._read(response.iter_lines(chunk_size=4096), progress)

    @staticmethod
    def _read(lines: Any, progress: Progress) -> str | None:
        layers: dict[str, Layer] = {}
        whole, digest, speed = False, None, Speed()
        for line in lines:
            if not line:
                continue
            try:
                event = json.loads(line)
            except ValueError as error:
                raise Unknown(f"the pull's stream was cut in the middle: {line[:80]!r}") from error
            if "error" in event:
                text = str((event.get("errorDetail") or {}).get("message") or event["error"])
                raise PullFailed(text, transient=_passing(text))
            status = str(event.get("status", ""))
            whole = whole or status.startswith(LAST_WORD)
            digest = status.removeprefix(DIGEST) if status.startswith(DIGEST) else digest
            if event.get("id") and "progressDetail" in event:  # a tag has an id too, but no detail
                detail = event.get("progressDetail") or {}
                layers[event["id"]] = Layer(
                    event["id"],
                    event["status"],
                    int(detail.get("current") or 0),
                    int(detail.get("total") or 0),
                )
                progress(layers)
                try:
                    speed.check(
                        (layer.id, layer.status, layer.current) for layer in layers.values()
                    )
                except PullTooSlow as slow:
                    raise PullFailed(str(slow), transient=False) from slow
        if not whole:  # a local image of that name may be older than the requested one
            raise PullFailed("the pull's stream ended in the middle", transient=True)
        return digest


def _has_name(info: dict[str, Any], reference: str) -> bool:
    """Whether an inspected image has this name, or this whole id."""
    if reference.removeprefix("sha256:") == str(info["Id"]).removeprefix("sha256:"):
        return True
    names = [*(info.get("RepoTags") or []), *(info.get("RepoDigests") or [])]
    return full_name(reference) in {full_name(name) for name in names}


def _passing(text: str) -> bool:
    lowered = text.lower()
    return any(fragment in lowered for fragment in _TRANSIENT)
