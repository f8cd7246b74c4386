"""`python -m aind_capsule` is the command `capsule`."""

from __future__ import annotations

from aind_capsule.cli import main

if __name__ == "__main__":
    main()
