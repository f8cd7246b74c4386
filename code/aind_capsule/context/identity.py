"""Fields of records that the surroundings tell: host, rig, the platform's ids.

Called by `running` and `logs`. Settings and metadata files are not looked at here; they go before
what stands here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from aind_capsule.context.platform import read_platform_ids, read_variable

_COMPUTER = re.compile(r"([A-Za-z]+)\.(\d+)-([A-Za-z0-9]+)")
_RECORD_IDS = ("capsule_id", "computation_id", "pipeline_id")


def build_environment_fields(
    environ: Mapping[str, str], hostname: str | None = None
) -> dict[str, str]:
    """Host name, rig and ids; what is unknown is left out.

    Args:
        environ: The environment.
        hostname: The machine's name; asked of the system by default.
    """
    if hostname is None:
        hostname = os.uname().nodename if hasattr(os, "uname") else environ.get("COMPUTERNAME")
    ids = read_platform_ids(environ)
    # Rigs set it in any case, and Windows shows every name in capitals.
    computers = (read_variable(environ, name) for name in environ if name.lower() == "aibs_comp_id")
    fields = {
        "hostname": hostname,
        "rig_id": find_rig_id(next(filter(None, computers), "")),
        **{name: ids.get(name) for name in _RECORD_IDS},
    }
    return {name: value for name, value in fields.items() if value}


def find_rig_id(computer: str) -> str | None:
    """The rig of a computer's id (`aibs_comp_id`: rig, instance, computer).

    >>> find_rig_id("FRG.1-A"), find_rig_id("frg_1_a"), find_rig_id(" ")
    ('frg_1_a', 'frg_1_a', None)
    """
    name = computer.strip()
    match = _COMPUTER.fullmatch(name)
    if match:
        name = "_".join(match.groups())
    return name.lower() or None
