"""Credentials as boto3 finds them, kept, and looked for anew when they hold no more.

What finds them may run another program (`credential_process`), ask a metadata server or STS, and
hang: each such search has a deadline, in a thread that is left behind where it is exceeded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from aind_capsule.storage.errors import RefusedError, StorageError
from aind_capsule.storage.signing import Credentials

_T = TypeVar("_T")
DEADLINE_S = 30.0
#: For how long credentials are used without asking boto3 whether they are to be renewed.
_LOOK_EVERY_S = 10.0


class CredentialSource:
    """Knows the credentials of now; may be used by many threads.

    Args:
        find: Looks for them as boto3 does; what it returns may renew itself.
        deadline_s: How long a search may take; by default `DEADLINE_S`.

    Raises:
        StorageError: There are none, or they cannot be found out.
    """

    def __init__(self, find: Callable[[], Any], deadline_s: float | None = None) -> None:
        self._find = find
        self._deadline_s = DEADLINE_S if deadline_s is None else deadline_s
        self._lock = threading.Lock()
        self._failure: tuple[Credentials, float, StorageError | None] | None = None
        self._look_at_s = 0.0
        self._found: Any = None
        self._current: Credentials = self._load()

    def get(self) -> Credentials:
        """Return the credentials of now; boto3 renews those that can be, before they end."""
        if time.monotonic() < self._look_at_s or not self._lock.acquire(blocking=False):
            return self._current
        try:
            self._look_at_s = time.monotonic() + _LOOK_EVERY_S
            self._current = self._within_deadline(self._found.get_frozen_credentials)
        except StorageError:
            pass  # these may hold for some time; the server says when they do not
        finally:
            self._lock.release()
        return self._current

    def renew(self, refused: Credentials) -> bool:
        """Look for credentials anew, where a server refused those; return whether there are others.

        Raises:
            StorageError: They cannot be found out.
        """
        with self._lock:
            if self._current != refused:
                return True
            # Threads whose requests were refused together do not each wait for the same.
            if self._failure is not None and self._failure[0] == refused:
                _, until_s, error = self._failure
                if time.monotonic() < until_s:
                    if error is not None:
                        raise error
                    return False
            self._failure = (refused, time.monotonic() + self._deadline_s, None)
            try:
                self._current = self._load()
            except StorageError as error:
                self._failure = (refused, time.monotonic() + self._deadline_s, error)
                raise
            return self._current != refused

    def _load(self) -> Credentials:
        def load() -> tuple[Any, Credentials | None]:
            found = self._find()
            return found, None if found is None else found.get_frozen_credentials()

        found, current = self._within_deadline(load)
        if current is None:
            raise RefusedError(
                "There are no AWS credentials",
                hint="Attach a role, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret.",
            )
        self._found = found
        self._look_at_s = time.monotonic() + _LOOK_EVERY_S
        return current

    def _within_deadline(self, call: Callable[[], _T]) -> _T:
        """Call in a thread, and return what it returns or raise what it raises, in time."""
        results: list[_T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                results.append(call())
            except BaseException as error:  # raised by the thread that waits
                errors.append(error)

        thread = threading.Thread(target=run, name="credentials", daemon=True)
        thread.start()
        thread.join(self._deadline_s)
        if errors:
            raise _explain(errors[0]) from errors[0]
        if not results:
            raise RefusedError(
                f"AWS credentials were not found within {self._deadline_s:g} s",
                hint="Check what gives them: credential_process, AWS_PROFILE, the role."
                " Then capsule upload --resume.",
            )
        return results[0]


def _explain(error: BaseException) -> BaseException:
    from botocore.exceptions import BotoCoreError, ClientError

    if not isinstance(error, (BotoCoreError, ClientError, ValueError, OSError)):
        return error
    return RefusedError(
        f"AWS credentials cannot be found: {error}",
        hint="Correct the credentials: role, profile, credential_process, or AWS_… variables."
        " Then capsule upload --resume.",
    )
