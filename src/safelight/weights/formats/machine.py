"""A machine that runs the instructions of a pickle and can do nothing but build plain values.

Python's own unpickler imports what a file names and calls it. This one never imports: `names.py` says what the few
allowed names mean, and every instruction beyond building plain values from them is refused. It works within bounds: so
many instructions, lengths no longer than the file, keys that are plain.
"""

from __future__ import annotations

from collections.abc import Callable

from safelight.weights.formats.faults import Damaged, Refused, quoted
from safelight.weights.formats.names import Leftover, LeftoverClass, Maker, ParameterTable, key_of, meaning
from safelight.weights.formats.reader import LITERALS, Reader
from safelight.weights.formats.views import Storage, View, storage_of

MOST_INSTRUCTIONS = 2_000_000  # a checkpoint of Stable Diffusion with the optimiser's state has 0.2 million
TENSOR_COST = 50  # instructions that a tensor counts for
STOP = b"."


class Machine:
    """Runs pickles that share their storages; `storages` are those that the tensors refer to, by key."""

    def __init__(self) -> None:
        self.storages: dict[str, Storage] = {}
        self.spent = 0
        self.stack: list[object] = []
        self.outer: list[list[object]] = []  # the stacks below each open mark
        self.memo: dict[int, object] = {}

    def run(self, reader: Reader) -> object:
        """The value that the pickle at the reader's position builds.

        Tensors in it are Views, classes without meaning LeftoverClass, their objects Leftover.
        Raises Refused and Damaged.
        """
        self.stack, self.outer, self.memo = [], [], {}
        while (code := reader.take(1)) != STOP:
            self._spend(1)
            if literal := LITERALS.get(code):
                self.push(literal(reader))
            elif action := ACTIONS.get(code):
                action(self, reader)
            else:
                raise Refused(f"has the pickle instruction {UNWANTED.get(code, '0x' + code.hex())}")
        return self.pop()

    def push(self, value: object) -> None:
        """Add a value."""
        self.stack.append(value)

    def pop(self) -> object:
        """Take the last value."""
        if not self.stack:
            raise Damaged("its pickle takes a value where there is none")
        return self.stack.pop()

    def pop_marked(self) -> list[object]:
        """Take all values since the last mark."""
        if not self.outer:
            raise Damaged("its pickle lacks a mark")
        values, self.stack = self.stack, self.outer.pop()
        return values

    def last(self) -> object:
        """The last value, left where it is."""
        if not self.stack:
            raise Damaged("its pickle takes a value where there is none")
        return self.stack[-1]

    def name(self, module: object, name: object) -> None:
        """Push what a name means."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise Refused("names something by what is no text")
        self.push(meaning(module, name))

    def call(self, maker: object, arguments: object) -> None:
        """Push what calling `maker` stands for; nothing of the file's own is called."""
        if isinstance(maker, LeftoverClass):
            self.push(Leftover(maker.name))
            return
        if not isinstance(maker, Maker):
            raise Refused(f"calls a {described(maker)}")
        if not isinstance(arguments, tuple):
            raise Damaged(f"its pickle calls {maker.name} with a {described(arguments)}")
        self._spend(sum(len(one) for one in arguments if isinstance(one, list | tuple)))
        try:
            made = maker.make(*arguments)
        except TypeError as error:
            raise Damaged(f"its pickle calls {maker.name} with {len(arguments)} arguments") from error
        self._spend(TENSOR_COST if isinstance(made, View) else 0)
        self.push(made)

    def recall(self, index: int) -> None:
        """Push a value that was remembered."""
        if index not in self.memo:
            raise Damaged(f"its pickle recalls value {index}, which it never had")
        self.push(self.memo[index])

    def refer(self, identity: object) -> None:
        """Push the storage that a persistent id names.

        Old files also refer so to the classes of modules, with their source code: ("module", class, file, source).
        """
        match identity:
            case ("module", Maker() | LeftoverClass() as known_class, str(), str()):
                self.push(known_class)
                return
        storage = storage_of(identity)
        known = self.storages.setdefault(storage.key, storage)
        if known.size != storage.size:
            raise Damaged(f"storage {quoted(storage.key)} is said to have {known.size} bytes and {storage.size} bytes")
        self.push(storage)

    def _spend(self, count: int) -> None:
        self.spent += count
        if self.spent > MOST_INSTRUCTIONS:
            raise Refused(f"needs more than {MOST_INSTRUCTIONS} pickle instructions")


def described(value: object) -> str:
    """A value in a word or two, never its content."""
    return value.name if isinstance(value, LeftoverClass | Leftover | Maker) else type(value).__name__


def _mark(machine: Machine, _: Reader) -> None:
    machine.outer.append(machine.stack)
    machine.stack = []


def _drop(machine: Machine, _: Reader) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.pop_marked()


def _tuple_of(count: int) -> Callable[[Machine, Reader], None]:
    def action(machine: Machine, _: Reader) -> None:
        values = [machine.pop() for _ in range(count)]
        machine.push(tuple(reversed(values)))

    return action


def _set_items(machine: Machine, values: list[object]) -> None:
    target = machine.last()
    if isinstance(target, Leftover):
        return
    if not isinstance(target, dict) or len(values) % 2:
        raise Damaged(f"its pickle puts entries into a {described(target)}")
    for key, value in zip(values[::2], values[1::2], strict=True):
        target[key_of(key)] = value


def _append(machine: Machine, values: list[object]) -> None:
    target = machine.last()
    if isinstance(target, Leftover):
        return
    if not isinstance(target, list):
        raise Damaged(f"its pickle appends to a {described(target)}")
    target.extend(values)


def _set_item(machine: Machine, _: Reader) -> None:
    value, key = machine.pop(), machine.pop()
    _set_items(machine, [key, value])


def _dictionary(machine: Machine, _: Reader) -> None:
    values = machine.pop_marked()
    machine.push({})
    _set_items(machine, values)


def _build(machine: Machine, _: Reader) -> None:
    """Give an object its state: only ParameterDict's is of use, the attributes of the rest are dropped."""
    state, target = machine.pop(), machine.last()
    if isinstance(target, ParameterTable):
        parameters = state.get("_parameters") if isinstance(state, dict) else None
        if not isinstance(parameters, dict):
            raise Damaged("its pickle has a ParameterDict without parameters")
        target.update(parameters)
    elif not isinstance(target, dict | Leftover):
        raise Refused(f"changes the state of a {described(target)}")


def _reduce(machine: Machine, _: Reader) -> None:
    arguments, maker = machine.pop(), machine.pop()
    machine.call(maker, arguments)


def _new_with_keywords(machine: Machine, _: Reader) -> None:
    keywords, arguments, maker = machine.pop(), machine.pop(), machine.pop()
    if keywords and not isinstance(maker, LeftoverClass):
        raise Refused(f"calls a {described(maker)} with named arguments")
    machine.call(maker, arguments)


def _instance(machine: Machine, reader: Reader) -> None:
    machine.name(reader.word(), reader.word())
    maker = machine.pop()
    machine.call(maker, tuple(machine.pop_marked()))


def _object(machine: Machine, _: Reader) -> None:
    maker, *arguments = machine.pop_marked() or [None]
    machine.call(maker, tuple(arguments))


def _stack_name(machine: Machine, _: Reader) -> None:
    name, module = machine.pop(), machine.pop()
    machine.name(module, name)


def _remember(machine: Machine, index: int) -> None:
    machine.memo[index] = machine.last()


def _line_number(reader: Reader) -> int:
    word = reader.word()
    if not word.isascii() or not word.isdigit() or len(word) > 10:
        raise Damaged("its pickle remembers a value under no number")
    return int(word)


# Instruction -> what it does. Those that push a plain value stand in `reader.py`.
ACTIONS: dict[bytes, Callable[[Machine, Reader], None]] = {
    b"\x80": lambda machine, reader: _check_protocol(reader.number(1)),
    b"\x95": lambda machine, reader: _check_frame(reader, reader.number(8)),
    b"(": _mark,
    b"0": _drop,
    b"1": lambda machine, _: machine.pop_marked().clear(),
    b"2": lambda machine, _: machine.push(machine.last()),
    b"t": lambda machine, _: machine.push(tuple(machine.pop_marked())),
    b"\x85": _tuple_of(1),
    b"\x86": _tuple_of(2),
    b"\x87": _tuple_of(3),
    b"l": lambda machine, _: machine.push(machine.pop_marked()),
    b"\x91": lambda machine, _: machine.push(machine.pop_marked()),
    b"d": _dictionary,
    b"a": lambda machine, _: _append(machine, [machine.pop()]),
    b"e": lambda machine, _: _append(machine, machine.pop_marked()),
    b"\x90": lambda machine, _: _append(machine, machine.pop_marked()),
    b"s": _set_item,
    b"u": lambda machine, _: _set_items(machine, machine.pop_marked()),
    b"p": lambda machine, reader: _remember(machine, _line_number(reader)),
    b"q": lambda machine, reader: _remember(machine, reader.number(1)),
    b"r": lambda machine, reader: _remember(machine, reader.number(4)),
    b"\x94": lambda machine, _: _remember(machine, len(machine.memo)),
    b"g": lambda machine, reader: machine.recall(_line_number(reader)),
    b"h": lambda machine, reader: machine.recall(reader.number(1)),
    b"j": lambda machine, reader: machine.recall(reader.number(4)),
    b"c": lambda machine, reader: machine.name(reader.word(), reader.word()),
    b"\x93": _stack_name,
    b"R": _reduce,
    b"\x81": _reduce,
    b"\x92": _new_with_keywords,
    b"i": _instance,
    b"o": _object,
    b"b": _build,
    b"Q": lambda machine, _: machine.refer(machine.pop()),
}
UNWANTED = {
    b"P": "PERSID (a reference by text)",
    b"\x82": "EXT1 (a name from the registry of extensions)",
    b"\x83": "EXT2 (a name from the registry of extensions)",
    b"\x84": "EXT4 (a name from the registry of extensions)",
    b"\x97": "NEXT_BUFFER (data outside the file)",
    b"\x98": "READONLY_BUFFER (data outside the file)",
}


def _check_protocol(version: int) -> None:
    if version > 5:
        raise Damaged(f"its pickle has protocol {version}; known: 0 to 5")


def _check_frame(reader: Reader, size: int) -> None:
    if size > reader.end - reader.position:
        raise Damaged(f"its pickle is cut short: {size} bytes should follow, {reader.end - reader.position} do")
