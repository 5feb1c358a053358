"""The /etc/passwd and /etc/group of a container."""

from __future__ import annotations

import pytest

from launcher.core.policy.account_files import MOST_LINES, group, passwd
from launcher.homes.values import MOST_FILE

IMAGE = "root:x:0:0:root:/root:/bin/bash\nubuntu:x:1000:1000::/home/ubuntu:/bin/sh\nbad line\n"


def test_the_user_comes_first_and_replaces_the_images_entry_of_that_uid() -> None:
    text = passwd(IMAGE, "alice", 1000, 100, "/home/alice", "/bin/bash")
    assert text == (
        "alice:x:1000:100:alice:/home/alice:/bin/bash\nroot:x:0:0:root:/root:/bin/bash\n"
    )


def test_a_name_that_the_image_has_too_is_the_users() -> None:
    text = passwd("alice:x:7:7::/x:/bin/sh\n", "alice", 1000, 100, "/home/alice", "/bin/sh")
    assert text.split("\n") == ["alice:x:1000:100:alice:/home/alice:/bin/sh", ""]


@pytest.mark.parametrize("name", ["a:b", "a\nroot::0:0:::", "a\x00b", "a\x85"])
def test_no_text_adds_a_field_or_a_line(name: str) -> None:
    text = passwd("", name, 1000, 100, f"/home/{name}", "/bin/sh")
    assert text.count("\n") == 1
    assert text.count(":") == 6


def test_groups_have_the_user_as_a_member_and_the_names_of_the_machine() -> None:
    image = "root:x:0:\nusers:x:100:\nproj:x:7:bob\n"
    text = group(image, "alice", 100, (2000, 2001), {100: "students", 2000: "proj"})
    assert text == ("students:x:100:\nproj:x:2000:alice\ngroup2001:x:2001:alice\nroot:x:0:\n")


def test_an_endless_file_is_cut() -> None:
    image = "\n".join(f"u{n}:x:{n}:1::/:/bin/sh" for n in range(2 * MOST_LINES))
    assert passwd(image, "alice", 99999, 1, "/home/alice", "/bin/sh").count("\n") == MOST_LINES + 1


@pytest.mark.parametrize("fill", ["x", "\ufffd"])
def test_endless_entries_are_left_out_and_what_was_before_stays(fill: str) -> None:
    image = f"root:x:0:0::/:/bin/sh\nbig:x:7:7:{fill * 100_000}:/:/bin/sh\n"
    text = passwd(image, "alice", 1000, 100, "/home/alice", "/bin/sh")
    assert len(text.encode()) < MOST_FILE
    assert [line.split(":")[0] for line in text.split("\n")] == ["alice", "root", ""]
    members = group(f"g:x:7:{fill * 100_000}\n", "alice", 100, (), {100: "students"})
    assert members == "students:x:100:\n"
