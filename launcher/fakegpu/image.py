"""A small image from the machine's busybox-static: no image registry is needed."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from launcher.errors import UserError

BUSYBOX = Path("/bin/busybox")
DIRECTORIES = {
    "bin": 0o755, "dev": 0o755, "etc": 0o755, "home": 0o755, "proc": 0o755, "root": 0o700,
    "sys": 0o755, "tmp": 0o1777, "var": 0o755, "var/tmp": 0o1777,
}  # fmt: skip
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost\n",
}
CHANGES = ('CMD ["sh"]', "ENV PATH=/bin")


def busybox_tar(busybox: Path = BUSYBOX) -> bytes:
    """Return a root file system with busybox, a link for each of its applets, /etc and /tmp.

    UserError if busybox is missing or needs shared libraries. The output is reproducible.
    """
    fix = "Run: apt-get install busybox-static"
    try:
        program = busybox.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {busybox}: {error.strerror}", fix=fix) from None
    if b"/ld-linux" in program[:8192] or b"/ld-musl" in program[:8192]:
        raise UserError(f"{busybox} needs shared libraries", fix=fix)
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, mode in DIRECTORIES.items():
            tar.addfile(_entry(name, tarfile.DIRTYPE, mode))
        _add_file(tar, "bin/busybox", program, 0o755)
        for name, text in FILES.items():
            _add_file(tar, name, text.encode(), 0o644)
        for applet in listed.stdout.split():
            if applet != "busybox":
                link = _entry(f"bin/{applet}", tarfile.SYMTYPE, 0o777)
                link.linkname = "busybox"
                tar.addfile(link)
    return packed.getvalue()


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry


def _add_file(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = _entry(name, tarfile.REGTYPE, mode)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
