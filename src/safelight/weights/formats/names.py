"""The closed list of names that a pickle may speak, and what each of them means here.

No name is ever imported: the table says what stands for it. What has no meaning for weights but is known to lie in
training files becomes a `LeftoverClass`, an empty mark that keeps nothing and runs nothing. Any other name is refused
as soon as it is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from safelight.weights.formats.faults import Damaged, Refused, quoted
from safelight.weights.formats.safetensors_file import DTYPES
from safelight.weights.formats.views import StorageType, View, view_of

LONGEST_KEY = 8


@dataclass(frozen=True)
class Maker:
    """A function or class that has a meaning here: `make` does in its place what is needed of it."""

    name: str
    make: Callable[..., Any]


@dataclass(frozen=True)
class LeftoverClass:
    """A known name without meaning for weights; calling it gives a Leftover."""

    name: str


@dataclass(frozen=True)
class Leftover:
    """What is left of an object that was not wanted: the name of its class."""

    name: str


class ParameterTable(dict[Any, Any]):
    """torch.nn.ParameterDict, whose parameters come with its state."""


def meaning(module: str, name: str) -> object:
    """What `module.name` stands for; raises Refused for a name that is not on the list."""
    full = f"{module}.{name}"
    if full in KNOWN:
        return KNOWN[full]
    if full in LEFTOVERS or (LEFTOVER_MODULES.fullmatch(module) and CLASS_NAME.fullmatch(name)):
        return LeftoverClass(full)
    raise Refused(
        f"names {quoted(full)}, which no file of weights needs; known are tensors, numbers, texts, lists, "
        "dictionaries and the usual leftovers of training"
    )


def _tensor(storage: object, offset: object, shape: object, stride: object, *_: object) -> View:
    return view_of(storage, None, offset, shape, stride)


def _tensor_of_dtype(
    storage: object, offset: object, shape: object, stride: object, _: object, __: object, dtype: object, *___: object
) -> View:
    if not isinstance(dtype, torch.dtype):
        raise Damaged("its pickle makes a tensor of an unknown type of numbers")
    return view_of(storage, dtype, offset, shape, stride)


def _parameter(data: object, *_: object) -> object:
    if not isinstance(data, View | Leftover):
        raise Damaged("its pickle makes a parameter of something that is no tensor")
    return data


def _typed(maker: object, _: object, arguments: object, *__: object) -> object:
    """A tensor with attributes or of a class of its own: the tensor alone."""
    if not isinstance(maker, Maker) or not maker.name.startswith("torch._utils."):
        raise Refused("makes a tensor by way of something that makes none")
    if not isinstance(arguments, tuple):
        raise Damaged("its pickle makes a tensor of something that is no list of arguments")
    return maker.make(*arguments)


def _dictionary(pairs: object = (), *_: object) -> dict[Any, Any]:
    """An OrderedDict; its entries follow, but Python 2 gave them as one list of pairs."""
    if not isinstance(pairs, list | tuple):
        raise Damaged("its pickle makes a dictionary of something that is no list of pairs")
    found = {}
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise Damaged("its pickle makes a dictionary of something that is no list of pairs")
        found[key_of(pair[0])] = pair[1]
    return found


def _shape(values: object = ()) -> object:
    if not isinstance(values, tuple):
        raise Damaged("its pickle makes a shape of something that is no tuple")
    return values


def key_of(value: object) -> Any:
    """`value` as the key of a dictionary: plain, so that comparing keys costs nothing; raises Damaged."""
    inner = value if isinstance(value, tuple) else (value,)
    if len(inner) > LONGEST_KEY:
        raise Damaged(f"its pickle has a tuple of {len(inner)} as the key of a dictionary")
    for one in inner:
        if one is not None and not isinstance(one, str | int | float | bytes | Leftover | LeftoverClass | Maker):
            raise Damaged(f"its pickle has a {type(one).__name__} as the key of a dictionary")
    return value


STORAGES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
}
MAKERS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_dtype,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _typed,
    "torch.nn.modules.container.ParameterDict": lambda *_: ParameterTable(),
    "torch.Size": _shape,
    "collections.OrderedDict": _dictionary,
    "collections.defaultdict": lambda *_: {},  # its entries follow
}
KNOWN: dict[str, object] = {
    **{name: Maker(name, make) for name, make in MAKERS.items()},
    **{f"torch.{word}Storage": StorageType(dtype) for word, dtype in STORAGES.items()},
    **{f"torch.cuda.{word}Storage": StorageType(dtype) for word, dtype in STORAGES.items()},
    "torch.storage.UntypedStorage": StorageType(torch.uint8),
    **{str(dtype): dtype for dtype in {*DTYPES.values(), *STORAGES.values()}},
}

# What training programs leave in a checkpoint beside its weights. Of these packages only classes:
LEFTOVER_MODULES = re.compile(
    r"(pytorch_lightning|lightning|lightning_fabric|lightning_utilities|omegaconf|torchmetrics|ldm|taming"
    r"|torch\.optim)(\.[a-z_]\w*)*"
)
CLASS_NAME = re.compile(r"_?[A-Z][A-Za-z0-9]*")
PLAIN_CLASSES = ("object", "dict", "list", "set", "frozenset", "tuple", "str", "bytes", "bytearray", "int", "float")
LEFTOVERS = {
    *(
        f"{home}.{name}"
        for home in ("builtins", "__builtin__")
        for name in (*PLAIN_CLASSES, "bool", "complex", "slice", "long")
    ),
    *(f"{home}._reconstructor" for home in ("copyreg", "copy_reg")),
    *(f"typing.{name}" for name in ("Any", "Dict", "List", "Optional", "Tuple", "Union")),
    *(f"pathlib.{name}" for name in ("Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")),
    *(f"pathlib._local.{name}" for name in ("PosixPath", "WindowsPath")),
    *(f"datetime.{name}" for name in ("date", "datetime", "timedelta", "timezone")),
    *(f"numpy.{home}.multiarray.{name}" for home in ("core", "_core") for name in ("scalar", "_reconstruct")),
    *(f"numpy.{name}" for name in ("dtype", "ndarray", "bool_", "float32", "float64", "int32", "int64")),
    *(f"numpy.{home}.numeric._frombuffer" for home in ("core", "_core")),
    "_codecs.encode",  # how protocol 2 writes bytes
    "argparse.Namespace",
    "collections.Counter",
    "collections.deque",
    "torch.device",
    "torch.Tensor",
    "torch.nn.Parameter",
    "torch.nn.parameter.Parameter",
    "torch.nn.parameter.Buffer",
}
