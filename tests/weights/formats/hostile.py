"""Pickles that would leave a trace if anything ran them: each creates a file, the canary, where Python unpickles it."""

from __future__ import annotations

import codecs
import cProfile
import ctypes
import functools
import gzip
import importlib
import io
import logging
import marshal
import operator
import os
import pickle
import runpy
import shutil
import sqlite3
import subprocess
import timeit
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path

import torch
import torch.utils.collect_env


class Call:
    """An object that its pickle makes by calling `function`."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.made = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self.made

    def __call__(self) -> None:
        """What it makes may be called in turn; pickle asks for that."""


class CallWithState(Call):
    """The same, and then that object is given a state."""

    def __init__(self, function: object, *arguments: object, state: object) -> None:
        super().__init__(function, *arguments)
        self.state = state

    def __reduce__(self) -> tuple[object, ...]:
        return (*self.made, self.state)


def script(canary: str) -> str:
    return f"open({canary!r}, 'w').close()"


def written(canary: str, text: bytes) -> str:
    """A file beside the canary, which is no trace of its own."""
    path = Path(canary).with_name("bait")
    path.write_bytes(text)
    return str(path)


def nested(canary: str) -> bytes:
    return pickle.dumps(Call(os.system, f"touch {canary}"))


def through_torch(canary: str) -> str:
    torch.save(Call(os.system, f"touch {canary}"), buffer := io.BytesIO())
    return written(canary, buffer.getvalue())


def dynamic_class(canary: str) -> Call:
    """An instance of a class whose __setstate__ runs a command."""
    made = Call(type, "Trap", (), {"__setstate__": os.system})
    return CallWithState(operator.methodcaller("__call__"), made, state=f"touch {canary}")


def hooked(canary: str) -> object:
    """A tensor whose hooks run a command while it is made."""
    return Call(torch._utils._rebuild_tensor_v2, None, 0, (1,), (1,), False, Call(os.system, f"touch {canary}"))


# Name -> (what to pickle, the name that the refusal must give; protocol 2 uses names of Python 2).
REDUCERS: dict[str, tuple[Callable[[str], object], str]] = {
    "os.system": (lambda c: Call(os.system, f"touch {c}"), "posix.system"),
    "os.popen": (lambda c: Call(list, Call(os.popen, f"touch {c}")), "os.popen"),
    "os.mkdir": (lambda c: Call(os.mkdir, c), "posix.mkdir"),
    "os.symlink": (lambda c: Call(os.symlink, "/", c), "posix.symlink"),
    "os.open": (lambda c: Call(os.open, c, os.O_CREAT | os.O_WRONLY), "posix.open"),
    "subprocess.call": (lambda c: Call(subprocess.call, ["touch", c]), "commands.call"),
    "subprocess.check_output": (lambda c: Call(subprocess.check_output, ["touch", c]), "commands.check_output"),
    "subprocess.getoutput": (lambda c: Call(subprocess.getoutput, f"touch {c}"), "commands.getoutput"),
    "exec": (lambda c: Call(exec, script(c)), "exec"),
    "eval": (lambda c: Call(eval, f"open({c!r}, 'w')"), "eval"),
    "compile": (lambda c: Call(exec, Call(compile, script(c), "x", "exec")), "exec"),
    "open": (lambda c: Call(open, c, "w"), "io.open"),
    "FileIO": (lambda c: Call(io.FileIO, c, "w"), "_io.FileIO"),
    "getattr": (lambda c: Call(Call(getattr, Path(c), "touch")), "getattr"),
    "getattr of a module": (lambda c: Call(Call(getattr, Call(__import__, "os"), "system"), f"touch {c}"), "getattr"),
    "importlib": (
        lambda c: Call(Call(getattr, Call(importlib.import_module, "os"), "system"), f"touch {c}"),
        "getattr",
    ),
    "partial": (lambda c: Call(functools.partial(os.system, f"touch {c}")), "functools.partial"),
    "reduce": (lambda c: Call(functools.reduce, os.mkdir, [c, 0o700]), "__builtin__.reduce"),
    "map": (lambda c: Call(set, Call(map, os.system, [f"touch {c}"])), "map"),
    "methodcaller": (lambda c: Call(operator.methodcaller("touch"), Path(c)), "operator.methodcaller"),
    "attrgetter": (lambda c: Call(Call(operator.attrgetter("touch"), Path(c))), "operator.attrgetter"),
    "operator.call": (lambda c: Call(operator.call, os.system, f"touch {c}"), "_operator.call"),
    "runpy": (lambda c: Call(runpy.run_path, written(c, script(c).encode())), "runpy.run_path"),
    "timeit": (lambda c: Call(timeit.timeit, script(c), "pass", timeit.default_timer, 1), "timeit.timeit"),
    "cProfile": (lambda c: Call(cProfile.run, script(c), c), "cProfile.run"),
    "ctypes": (lambda c: Call(Call(getattr, Call(ctypes.CDLL, None), "mkdir"), c.encode(), 0o700), "getattr"),
    "marshal": (lambda c: Call(exec, Call(marshal.loads, marshal.dumps(compile(script(c), "x", "exec")))), "exec"),
    "pickle.loads": (lambda c: Call(pickle.loads, nested(c)), "pickle.loads"),
    "codecs.open": (lambda c: Call(codecs.open, c, "w"), "codecs.open"),
    "codecs.decode": (lambda c: [Call(codecs.decode, b"00", "hex"), Call(os.mkdir, c)], "_codecs.decode"),
    "gzip.open": (lambda c: Call(gzip.open, c, "wb"), "gzip.open"),
    "zipfile": (lambda c: Call(zipfile.ZipFile, c, "w"), "zipfile.ZipFile"),
    "sqlite3": (lambda c: Call(sqlite3.connect, c), "sqlite3"),
    "logging": (lambda c: Call(logging.FileHandler, c), "logging.FileHandler"),
    "shutil.copy": (lambda c: Call(shutil.copyfile, written(c, b"x"), c), "shutil.copyfile"),
    "torch.load": (
        lambda c: Call(torch.load, through_torch(c), "cpu", Call(__import__, "pickle")),
        "torch.serialization.load",
    ),
    "torch.hub": (
        lambda c: Call(torch.hub.download_url_to_file, f"file://{written(c, b'x')}", c, None, False),
        "torch.hub.download_url_to_file",
    ),
    "torch.storage": (lambda c: Call(torch.storage._load_from_bytes, nested(c)), "torch.storage._load_from_bytes"),
    "torch.save": (lambda c: Call(torch.save, 1, c), "torch.serialization.save"),
    "torch.utils": (lambda c: Call(torch.utils.collect_env.run, f"touch {c}"), "torch.utils.collect_env.run"),
    "tensor hook": (hooked, "posix.system"),
    "typed tensor": (
        lambda c: Call(torch._tensor._rebuild_from_type_v2, os.system, torch.Tensor, (f"touch {c}",), {}),
        "posix.system",
    ),
    "setstate": (dynamic_class, "operator.methodcaller"),
    "in a dictionary": (lambda c: OrderedDict(weight=OrderedDict(bias=[Call(os.mkdir, c)])), "posix.mkdir"),
    "as a key": (lambda c: {(1, Call(os.mkdir, c)): 2}, "posix.mkdir"),
    "as a default": (lambda c: [defaultdict(os.getcwd), Call(os.mkdir, c)], "posix.getcwd"),
    "as a state": (lambda c: CallWithState(OrderedDict, state={"x": Call(os.mkdir, c)}), "posix.mkdir"),
}


def by_hand(code: bytes) -> Callable[[str], bytes]:
    """A pickle of instructions that Python's own pickler does not write; CANARY stands for the path."""
    return lambda canary: code.replace(b"CANARY", canary.encode())


def text(value: bytes) -> bytes:
    """Push a text (protocol 4)."""
    return b"\x8c" + bytes([len(value)]) + value


# The same, written instruction by instruction.
INSTRUCTIONS: dict[str, tuple[Callable[[str], bytes], str]] = {
    "GLOBAL": (by_hand(b"cos\nsystem\n(S'touch CANARY'\ntR."), "os.system"),
    "GLOBAL, Python 2": (by_hand(b'c__builtin__\neval\n(S\'open("CANARY", "w")\'\ntR.'), "__builtin__.eval"),
    "INST": (by_hand(b"(S'touch CANARY'\nios\nsystem\n."), "os.system"),
    "OBJ": (by_hand(b"(cos\nsystem\nS'touch CANARY'\no."), "os.system"),
    "NEWOBJ": (by_hand(b"\x80\x02cpathlib\nPath\nS'CANARY'\n\x85\x81cbuiltins\ngetattr\n0."), "builtins.getattr"),
    "NEWOBJ_EX": (
        by_hand(b"\x80\x04csubprocess\nPopen\n)}S'args'\n](S'touch'\nS'CANARY'\nes\x92."),
        "subprocess.Popen",
    ),
    "STACK_GLOBAL": (
        by_hand(b"\x80\x04" + text(b"os") + text(b"system") + b"\x93(S'touch CANARY'\ntR."),
        "os.system",
    ),
    "dotted name": (
        by_hand(b"\x80\x04" + text(b"torch") + text(b"serialization.os.system") + b"\x93(S'touch CANARY'\ntR."),
        "torch.serialization.os.system",
    ),
    "name from the memo": (
        by_hand(b"\x80\x04" + text(b"system") + b"\x940" + text(b"os") + b"h\0\x93(S'touch CANARY'\ntR."),
        "os.system",
    ),
    "dotted name in a known package": (
        by_hand(b"\x80\x04" + text(b"lightning") + text(b"pytorch.os.system") + b"\x93(S'touch CANARY'\ntR."),
        "lightning.pytorch.os.system",
    ),
    "function of a known package": (
        by_hand(b"cpytorch_lightning.utilities.cloud_io\nload\n(S'CANARY'\ntR."),
        "pytorch_lightning.utilities.cloud_io.load",
    ),
    "instantiate_from_config": (by_hand(b"cldm.util\ninstantiate_from_config\n(dtR."), "instantiate_from_config"),
    "BUILD of a class": (by_hand(b"ctorch.nn\nParameter\n}S'__call__'\ncos\nsystem\nsb."), "os.system"),
    "BUILD of a function": (by_hand(b"ccollections\nOrderedDict\n}S'__init__'\nNsb."), "changes the state of"),
    "calling a text": (by_hand(b"\x80\x02S'os.system'\n(S'touch CANARY'\ntR."), "calls a str"),
    "calling a leftover": (by_hand(b"cargparse\nNamespace\n)R(S'touch CANARY'\ntR."), "calls a argparse.Namespace"),
    "EXT1": (by_hand(b"\x80\x02\x82\x01."), "EXT1"),
    "EXT2": (by_hand(b"\x80\x02\x83\x01\x00."), "EXT2"),
    "EXT4": (by_hand(b"\x80\x02\x84\x01\x00\x00\x00."), "EXT4"),
    "PERSID": (by_hand(b"\x80\x02Pos.system\n."), "PERSID"),
    "NEXT_BUFFER": (by_hand(b"\x80\x05\x97."), "NEXT_BUFFER"),
    "storage of a function": (by_hand(b"\x80\x02(S'storage'\ncos\nsystem\nS'0'\nS'cpu'\nK\x01tQ."), "os.system"),
    "name that is no text": (by_hand(b"\x80\x04}" + text(b"system") + b"\x93."), "no text"),
    "unknown instruction": (by_hand(b"\x80\x02\xff."), "0xff"),
    "another alphabet": (
        by_hand(b"\x80\x04" + text("оs".encode()) + text(b"system") + b"\x93)R."),  # a Cyrillic o
        "оs.system",
    ),
}
