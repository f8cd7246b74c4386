"""The image that a run was in, as the schema has it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.provenance.model.containers import build_container
from aind_capsule.provenance.record import make_record
from tests.provenance.runs import RUN

DIGEST = "sha256:" + "0f" * 32


@pytest.mark.parametrize(
    ("image", "kind", "uri", "tag"),
    [
        ("ephys", "Docker", "ephys", "latest"),
        ("ephys:1.2", "Docker", "ephys", "1.2"),
        ("oci:1.2", "Docker", "oci", "1.2"),
        ("host:5000/aind/ephys", "Docker", "host:5000/aind/ephys", "latest"),
        ("host:5000/aind/ephys:1.2", "Docker", "host:5000/aind/ephys", "1.2"),
        (f"host:5000/ephys@{DIGEST}", "Docker", "host:5000/ephys", DIGEST),
        (f"host:5000/ephys:1.2@{DIGEST}", "Docker", "host:5000/ephys", f"1.2@{DIGEST}"),
        ("docker://aind/ephys:1.2", "Docker", "docker://aind/ephys", "1.2"),
        ("docker://host:5000/ephys", "Docker", "docker://host:5000/ephys", "latest"),
        ("docker://me@host/ephys:1", "Docker", "docker://me@host/ephys", "1"),
        ("oras://host:5000/aind/ephys:1.2", "Docker", "oras://host:5000/aind/ephys", "1.2"),
        (f"oras://host/ephys@{DIGEST}", "Docker", "oras://host/ephys", DIGEST),
        ("library://aind/ephys/sorter:1.2", "Singularity", "library://aind/ephys/sorter", "1.2"),
        ("/images/ephys_1.2.sif", "Singularity", "/images/ephys_1.2.sif", "unknown"),
        ("ephys.SIF", "Singularity", "ephys.SIF", "unknown"),
        ("/images/a:b/ephys.simg", "Singularity", "/images/a:b/ephys.simg", "unknown"),
        ("/images/sandbox", "Docker", "/images/sandbox", "unknown"),
        ("./sandbox", "Docker", "./sandbox", "unknown"),
        ("C:\\images\\x", "Docker", "C:\\images\\x", "unknown"),
        ("docker-archive:/x/y", "Docker", "docker-archive:/x/y", "unknown"),
        ("https://host/x.sif", "Singularity", "https://host/x.sif", "unknown"),
        ("x.tar.gz", "Docker", "x.tar.gz", "unknown"),
    ],
)
def test_images(image: str, kind: str, uri: str, tag: str) -> None:
    """A registry may have a port; a digest belongs to the tag; a file has none, and never `latest`."""
    found = build_container(image)
    assert found is not None
    assert (found["container_type"], found["uri"], found["tag"]) == (kind, uri, tag)


@given(image=st.text(min_size=1, max_size=30) | st.text(":/@.a1", min_size=1, max_size=20))
def test_any_image_is_taken(image: str) -> None:
    """Nothing of the name is lost, and the tag that the schema demands is there."""
    found = build_container(image)
    assert found is not None
    assert found["tag"]
    assert set(found["uri"]) | set(found["tag"]) >= set(image) - {":", "@"}


@pytest.mark.parametrize(
    ("given_", "found", "expected"),
    [
        (None, None, None),
        ("x:1", None, ("Docker", "x", "1")),
        ("x:1", {"type": "Apptainer", "image": "/i/x.sif"}, ("Apptainer", "x", "1")),
        (None, {"type": "Apptainer", "image": "/i/x.sif"}, ("Apptainer", "/i/x.sif", "unknown")),
        (None, {"type": "Singularity", "image": "/i/x"}, ("Singularity", "/i/x", "unknown")),
        (None, {"type": "Singularity"}, None),
    ],
)
def test_the_container_of_a_run(
    given_: str | None, found: dict[str, Any] | None, expected: tuple[str, str, str] | None
) -> None:
    """The setting names the image, the container itself what runs it; one that tells is no gap."""
    environment = {**RUN["environment"], "run_mode": "container", "container": found}
    provenance = {"experimenters": ["Ada"], "container": given_}
    draft = make_record({**RUN, "environment": environment, "provenance": provenance})
    container = draft.content["code"].get("container")
    if expected is None:
        assert container is None
        assert [gap.setting for gap in draft.gaps] == ["provenance.container"]
    else:
        assert (container["container_type"], container["uri"], container["tag"]) == expected
        assert draft.gaps == ()
