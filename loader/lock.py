"""One loader at a time: a file lock that says who holds it."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from loader.errors import WarehouseBusy, WarehouseError

_PAUSE_SECONDS = 0.05


@contextmanager
def sole_loader(path: Path, purpose: str, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock ``path``; the system takes it back when the process dies.

    ``purpose`` is what the holder is said to do. Waits ``wait_seconds`` for another holder, but
    not for one that follows the spool, because that one does not end. Raises ``WarehouseBusy``,
    whose sentence names the holder.
    """
    fd = _open(path)
    try:
        _acquire(fd, time.monotonic() + wait_seconds)
        try:
            _sign(fd, purpose)
            yield
        finally:
            with suppress(OSError):  # until the next one has signed, this name would pass for its
                os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise WarehouseError(
            f"{path} cannot be opened ({error.strerror}): let this user write in its directory, "
            "or choose another LOADER_WAREHOUSE."
        ) from None


def _acquire(fd: int, deadline: float) -> None:
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(fd)
            if holder.get("follows") or time.monotonic() >= deadline:
                raise WarehouseBusy(_sentence(holder)) from None
        time.sleep(_PAUSE_SECONDS)


def _sign(fd: int, purpose: str) -> None:
    holder = {
        "pid": os.getpid(),
        "purpose": purpose,
        "follows": "--follow" in purpose,
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with suppress(OSError):  # on a full disk the lock holds all the same, without a name
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(holder).encode(), 0)


def _holder(fd: int) -> dict[str, object]:
    try:
        holder = json.loads(os.pread(fd, 4096, 0))
    except ValueError:
        return {}  # it has only just taken the lock and not signed yet
    return holder if isinstance(holder, dict) else {}


def _sentence(holder: dict[str, object]) -> str:
    return (
        f"the warehouse is being loaded by process {holder.get('pid', 'unknown')} "
        f"({holder.get('purpose', 'loader')}, since {holder.get('since', 'just now')}): "
        "wait for it, or stop it."
    )
