"""Tests of `aind_capsule.http`."""  # noqa: A005
