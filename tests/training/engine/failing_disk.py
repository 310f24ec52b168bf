"""A disk on which the k-th change goes wrong: every call by which a run changes files is counted."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from safelight.training.engine import checkpoint

CALLS = ("mkdir", "rmdir", "fsync", "replace", "rename", "unlink", "ftruncate", "write", "chmod")


class FailingDisk:
    """From the change number `fails_at` to `recovers_at`, `fault` happens instead of it."""

    def __init__(self, fails_at: int, recovers_at: float, fault: Callable[[], object] | None = None) -> None:
        self.fails_at = fails_at
        self.recovers_at = recovers_at
        self.fault = fault or self.no_space
        self.changes: list[str] = []

    @property
    def failed(self) -> bool:
        return len(self.changes) >= self.fails_at

    @staticmethod
    def no_space() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def change(self, name: str) -> None:
        """Count one; what must go wrong goes wrong here."""
        self.changes.append(name)
        if self.fails_at <= len(self.changes) < self.recovers_at:
            self.fault()

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand before the operating system's calls, and before what writes without them and is then torn apart."""
        for name in CALLS:
            monkeypatch.setattr(os, name, self._counted(name, getattr(os, name)))
        save_file, save_picture, open_file = checkpoint.save_file, Image.Image.save, Path.open

        def torn_save(tensors: Any, path: Path, metadata: Any) -> None:
            path.write_bytes(b"half a checkpoint")
            self.change("save_file")
            save_file(tensors, path, metadata)

        def torn_picture(picture: Image.Image, path: Path, format: str) -> None:
            path.write_bytes(b"half a picture")
            self.change("save_picture")
            save_picture(picture, path, format)

        def torn_lines(path: Path, mode: str = "r", *arguments: Any, **named: Any) -> Any:
            file = open_file(path, mode, *arguments, **named)
            return TornFile(self, file) if mode == "ab" else file

        monkeypatch.setattr(checkpoint, "save_file", torn_save)
        monkeypatch.setattr(Image.Image, "save", torn_picture)
        monkeypatch.setattr(Path, "open", torn_lines)

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.change(name)
            return call(*arguments, **named)

        return counted


class TornFile:
    """A file that takes half of what is written when the disk fails."""

    def __init__(self, disk: FailingDisk, file: Any) -> None:
        self.disk = disk
        self.file = file

    def write(self, content: bytes) -> int:
        whole = len(content)
        self.file.write(content[: whole // 2])
        try:
            self.disk.change("write a line")
        except OSError:
            return whole // 2
        return whole // 2 + int(self.file.write(content[whole // 2 :]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)
