"""The schema's `Container` of the image that a run was in: its type, its address, its tag."""

from __future__ import annotations

import re

UNKNOWN_TAG = "unknown"
_DEFAULT_TAG = "latest"
#: An image that is named by its content, whatever its tag.
_DIGEST = re.compile(r"@([A-Za-z0-9+._-]+:[0-9A-Fa-f]+)$")
#: Files and folders that hold an image: by their ending, by their path, by how tools name them.
_SINGULARITY_FILE = re.compile(r"\.(?:sif|simg)$", re.IGNORECASE)
_FILE = re.compile(
    r"^(?:(?:file|docker-archive|oci-archive|oci|dir):)?(?:[/~.]|[A-Za-z]:[\\/])"
    r"|\.(?:sif|simg|img|sqsh|tar|tar\.gz)$",
    re.IGNORECASE,
)
#: Registries that hold images in the format of Singularity alone.
_SINGULARITY_ADDRESS = ("library://", "shub://")


def build_container(image: str | None, kind: str | None = None) -> dict[str, str] | None:
    """Return the schema's `Container` of an image; None where no image is known.

    Args:
        image: The image's name, address or file.
        kind: What runs it, where that is known.

    >>> container = build_container("registry:5000/aind/ephys:1.2")
    >>> container["container_type"], container["uri"], container["tag"]
    ('Docker', 'registry:5000/aind/ephys', '1.2')
    >>> build_container("aind/ephys@sha256:00ff")["tag"], build_container("ephys")["tag"]
    ('sha256:00ff', 'latest')
    >>> container = build_container("/images/ephys_0.1.sif", "Apptainer")
    >>> container["container_type"], container["uri"], container["tag"]
    ('Apptainer', '/images/ephys_0.1.sif', 'unknown')
    """
    if image is None:
        return None
    is_file = _FILE.search(image) is not None
    uri, tag = (image, UNKNOWN_TAG) if is_file else _split(image)
    return {
        "object_type": "Container",
        "container_type": kind or _find_kind(image),
        "uri": uri,
        "tag": tag,
    }


def _find_kind(image: str) -> str:
    """Return what takes an image of this form, by Docker where several do."""
    is_singularity = _SINGULARITY_FILE.search(image) or image.startswith(_SINGULARITY_ADDRESS)
    return "Singularity" if is_singularity else "Docker"


def _split(image: str) -> tuple[str, str]:
    """Return the address and the tag of an image in a registry; a digest belongs to the tag."""
    digest = _DIGEST.search(image)
    rest = image[: digest.start()] if digest else image
    folder, slash, name = rest.rpartition("/")
    name, _, tag = name.partition(":")
    known = "@".join(filter(None, [tag, digest[1] if digest else ""]))
    return f"{folder}{slash}{name}", known or _DEFAULT_TAG
