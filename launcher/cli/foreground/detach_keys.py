"""The keys that leave a terminal without ending its job (docker's --detach-keys)."""

from __future__ import annotations


class DetachKeys:
    """Finds the keys in what is typed; what may be their beginning is held back."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        r"""Return what to pass on, and whether the keys were typed.

        >>> DetachKeys(b"\x10\x11").feed(b"ab\x10\x11")
        (b'ab', True)
        """
        out = bytearray()
        for byte in data:
            while self._held and byte != self._keys[self._held]:
                self._release_one(out)
            if byte == self._keys[self._held]:
                self._held += 1
                if self._held == len(self._keys):
                    self._held = 0
                    return bytes(out), True
            else:
                out.append(byte)
        return bytes(out), False

    def _release_one(self, out: bytearray) -> None:
        """Pass on the first byte that is held; go on with the longest rest that may be the keys."""
        held = self._keys[: self._held]
        for start in range(1, len(held) + 1):
            if self._keys.startswith(held[start:]):
                out += held[:start]
                self._held = len(held) - start
                return
