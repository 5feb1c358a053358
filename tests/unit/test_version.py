"""One version everywhere, and the names that an earlier version's units use."""

from __future__ import annotations

import importlib.util
import re
import tarfile
import tomllib

import launcher
from tests.support.project import PROJECT

ARCHIVE = PROJECT / "tests" / "support" / "launcher-0.1.0.tar.xz"


def test_the_package_the_image_and_the_changelog_have_one_version() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    image = re.search(r'image\.version="(.*?)"', (PROJECT / "compose" / "Dockerfile").read_text())
    cut = re.search(r"(?m)^## \[(\d.*?)\]", (PROJECT / "CHANGELOG.md").read_text())
    assert image is not None
    assert cut is not None
    assert {project["version"], image[1], cut[1]} == {launcher.__version__}


def test_the_programs_that_the_units_of_an_earlier_version_start_are_there() -> None:
    with tarfile.open(ARCHIVE) as archive:
        units = [m for m in archive.getmembers() if m.name.endswith(".service")]
        texts = [archive.extractfile(unit).read().decode() for unit in units]  # type: ignore[union-attr]
    programs = {name for text in texts for name in re.findall(r"-m (launcher[\w.]*)", text)}
    assert "launcher.pins" in programs
    for name in programs:
        assert importlib.util.find_spec(name) is not None, name
