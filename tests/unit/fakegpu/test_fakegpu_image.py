from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from launcher.errors import UserError
from launcher.fakegpu.image import busybox_tar


def test_the_image_has_a_shell_a_passwd_and_a_tmp_for_everybody() -> None:
    with tarfile.open(fileobj=io.BytesIO(busybox_tar())) as tar:
        assert tar.getmember("bin/sh").linkname == "busybox"
        assert tar.getmember("bin/busybox").mode == 0o755
        assert tar.getmember("tmp").mode == 0o1777
        passwd = tar.extractfile("etc/passwd")
        assert passwd is not None
        assert passwd.read().startswith(b"root:x:0:0:")


def test_the_image_is_the_same_every_time() -> None:
    assert busybox_tar() == busybox_tar()


@pytest.mark.parametrize("path", [Path("/bin/no-such-busybox"), Path("/bin/ls")])
def test_a_missing_or_dynamic_busybox_says_what_to_install(path: Path) -> None:
    with pytest.raises(UserError) as caught:
        busybox_tar(path)
    assert "apt-get install busybox-static" in str(caught.value)
