"""One trainer to a run: a lock that the operating system takes back when its process ends, however it ends."""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
import weakref
from contextlib import suppress
from pathlib import Path

from safelight.errors import BadInput
from safelight.training.engine.disk import writing

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


NAME = "trainer.lock"
TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
notes = logging.getLogger(__name__)


class Claim:
    """The sole right to train in a folder: it ends when it is released, with this object, or with the process."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.held: weakref.finalize[[int, Path], Claim] | None = None

    def take(self) -> None:
        """Claim the folder, which is made if need be; raises BadInput where another trainer has it."""
        if self.held is not None and self.held.alive:
            return
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                self._lock(descriptor)
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
            except BaseException:
                os.close(descriptor)
                raise
        self.held = weakref.finalize(self, _give_back, descriptor, self.path)

    def release(self) -> None:
        """Let others train here."""
        if self.held is not None:
            self.held()

    def _lock(self, descriptor: int) -> None:
        try:
            _lock(descriptor)
        except OSError as error:
            if error.errno in TAKEN:
                raise self._refusal() from error
            notes.warning("%s has no locks (%s): see to it that no second trainer runs there.", self.path.parent, error)
        if not self.path.exists() or not os.path.samestat(os.fstat(descriptor), self.path.stat()):
            raise self._refusal()  # who held it deleted it just now; what is locked here is nobody's

    def _refusal(self) -> BadInput:
        with suppress(OSError):
            if who := self.path.read_text("utf-8", "replace"):
                return BadInput(
                    f"{str(self.path.parent)!r} is being trained by {who}; stop that, or give another folder."
                )
        return BadInput(f"{str(self.path.parent)!r} is being trained by another process; try again, or another folder.")

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class FollowersClaim(Claim):
    """The claim of a process that works beside the one that has the folder: it takes nothing."""

    def take(self) -> None:
        """Rely on the other process."""


def _give_back(descriptor: int, path: Path) -> None:
    with suppress(OSError):  # Windows does not delete what is open; the file may stay, for only its lock counts
        path.unlink()
    os.close(descriptor)
