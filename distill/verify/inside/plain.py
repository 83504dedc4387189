"""Plain data as JSON text, both ways: all that passes between a model's program and the tests of it.

    pack((3, {"a": b"x"}))                        # '{"v":{"t":[3,{"d":[["a",{"b":"x"}]]}]},"o":[]}'
    unpack('{"v":{"t":[1,2]},"o":[]}', {})        # (1, 2)

A closed set of types: None, bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set,
frozenset, range, deque, Decimal, Fraction, the builtin types themselves, and iterators (as what they
would give). An instance of any other class becomes its class's name and its attributes; it turns into an
object again only if the reader has a class of that name itself (`ListNode`), else into a `Foreign`, which
no test can use. So what the other side's class does (an ``__eq__`` that is always true) never comes along.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, NoReturn

SCALARS = {bool, int, float, str, type(None)}
LARGEST_RAW = (
    1 << 63
)  # larger integers travel as hexadecimal: reading decimal digits takes quadratic time
MOST_FROM_ITERATOR = 1_000_000


class NotPlain(BaseException):
    """Something that is no plain data was to be sent, or was used. No ``except Exception`` of a test gets it.

    ``unsure``: another way to run the tests might have come to a verdict. A bare ``except:`` of a test may
    swallow it: so the first one is remembered.
    """

    first: "NotPlain | None" = None

    def __init__(self, text: str, unsure: bool) -> None:
        super().__init__(text)
        self.unsure = unsure
        NotPlain.first = NotPlain.first or self


class Foreign:
    """Stands for an object that is no plain data: a test that compares it fails, one that looks into it
    cannot be run like this."""

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "_name", name)

    def _compared(self, *others: object) -> NoReturn:
        name = object.__getattribute__(self, "_name")
        raise NotPlain(f"returned an object of class '{name}', which is no plain data", False)

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _compared
    __bool__ = __hash__ = __add__ = __radd__ = __sub__ = __rsub__ = _compared
    __mul__ = __rmul__ = __abs__ = __int__ = __float__ = __index__ = __round__ = _compared

    def _used(self, *others: object) -> NoReturn:
        name = object.__getattribute__(self, "_name")
        raise NotPlain(f"the tests look into an object of class '{name}'", True)

    __getattr__ = __getitem__ = __setitem__ = __call__ = __iter__ = __len__ = __contains__ = _used
    __repr__ = __str__ = __format__ = __enter__ = _used


# ── writing ──────────────────────────────────────────────────────────────────────────────────────


def pack(value: object, own: Callable[[type], bool] | None = None) -> str:
    """Plain data as text. ``own``: whether objects of a class may go; every other object raises `NotPlain`.
    None: every object may, and what cannot even so becomes a `Foreign`."""
    packer = _Packer(own)
    tree = packer.tree(value)
    return json.dumps({"v": tree, "o": packer.objects}, separators=(",", ":"))


class _Packer:
    def __init__(self, own: Callable[[type], bool] | None) -> None:
        self.own = own
        self.objects: list[list[object]] = []  # class name and attributes
        self._places: dict[int, int] = {}
        self._waiting: deque[tuple[object, int]] = deque()

    def tree(self, value: object) -> object:
        made = self._tree(value)
        while self._waiting:  # a linked list is long, but not deep
            held, place = self._waiting.popleft()
            attributes = {str(key): self._tree(item) for key, item in vars(held).items()}
            self.objects[place][1] = attributes
        return made

    def _tree(self, value: object) -> object:
        kind = type(value)
        if kind in SCALARS:
            big = kind is int and not -LARGEST_RAW < value < LARGEST_RAW  # type: ignore[operator]
            return {"i": hex(value)} if big else value  # type: ignore[arg-type]
        if kind is type and value in _TYPES.values():
            return {"T": value.__name__}  # type: ignore[attr-defined]
        for base, write in _WRITERS.items():
            if base in kind.__mro__:
                return write(self, value)
        if kind.__module__ == "numpy" and hasattr(kind, "item") and "generic" in _names(kind):
            return self._tree(value.item())  # type: ignore[attr-defined]
        if isinstance(value, Iterator) and (self.own is None or kind.__module__ == "builtins"):
            return {
                "I": [
                    self._tree(item)
                    for item, _ in zip(value, range(MOST_FROM_ITERATOR), strict=False)
                ]
            }
        return self._object(value, kind)

    def _object(self, value: object, kind: type) -> object:
        may = kind.__module__ != "builtins" and (self.own is None or self.own(kind))
        if not may or not isinstance(getattr(value, "__dict__", None), dict):
            if self.own is not None:
                raise NotPlain(f"the tests pass an object of class '{kind.__name__}'", True)
            return {"x": kind.__name__}
        if id(value) not in self._places:
            self._places[id(value)] = len(self.objects)
            self._waiting.append((value, len(self.objects)))
            self.objects.append([kind.__name__, {}])
        return {"o": self._places[id(value)]}

    def items(self, values: Any) -> list[object]:
        kinds = set(map(type, values))
        if kinds == {int}:
            small = -LARGEST_RAW < min(values) and max(values) < LARGEST_RAW
        else:
            small = kinds <= SCALARS - {int}
        if small:
            return list(values)
        return [self._tree(item) for item in values]


_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        list,
        tuple,
        dict,
        set,
        frozenset,
        type(None),
    )
}


def _names(kind: type) -> set[str]:
    return {base.__name__ for base in kind.__mro__}


_WRITERS: dict[type, Callable[[_Packer, Any], object]] = {
    bool: lambda packer, value: bool(value),
    int: lambda packer, value: packer._tree(int.__add__(value, 0)),
    float: lambda packer, value: float.__pos__(value),
    str: lambda packer, value: str.__str__(value),
    list: lambda packer, value: packer.items(value),
    tuple: lambda packer, value: {"t": packer.items(value)},
    dict: lambda packer, value: {
        "d": [[packer._tree(k), packer._tree(v)] for k, v in value.items()]
    },
    set: lambda packer, value: {"s": packer.items(value)},
    frozenset: lambda packer, value: {"z": packer.items(value)},
    bytes: lambda packer, value: {"b": value.decode("latin-1")},
    bytearray: lambda packer, value: {"y": value.decode("latin-1")},
    complex: lambda packer, value: {"c": [value.real, value.imag]},
    range: lambda packer, value: {"r": packer.items((value.start, value.stop, value.step))},
    deque: lambda packer, value: {"q": packer.items(value)},
    Decimal: lambda packer, value: {"D": str(value)},
    Fraction: lambda packer, value: {"F": packer.items((value.numerator, value.denominator))},
    type({}.keys()): lambda packer, value: {"K": packer.items(value)},
    type({}.values()): lambda packer, value: {"V": packer.items(value)},
    type({}.items()): lambda packer, value: {"E": packer.items(value)},
}


# ── reading ──────────────────────────────────────────────────────────────────────────────────────


def unpack(text: str | bytes, classes: Mapping[str, type], invent: bool = False) -> Any:
    """What `pack` was given. ``classes``: those whose instances may be made here; ``invent``: an unknown one
    is made up. Raises ``ValueError`` for every text that `pack` does not write."""
    try:
        document = json.loads(text)
        return _Unpacker(document["o"], classes, invent).tree(document["v"])
    except (
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise ValueError(f"not plain data: {error}") from None


class _Unpacker:
    def __init__(self, rows: list[Any], classes: Mapping[str, type], invent: bool) -> None:
        made: dict[str, type] = {}
        self.objects: list[object] = []
        for name, _ in rows:
            kind = classes.get(name) or made.get(name)
            if kind is None and invent:
                kind = made[name] = type(str(name), (), {})
            self.objects.append(object.__new__(kind) if kind else Foreign(str(name)))
        for held, (_, attributes) in zip(self.objects, rows, strict=True):
            if not isinstance(held, Foreign):
                vars(held).update({key: self.tree(item) for key, item in attributes.items()})

    def tree(self, tree: Any) -> Any:
        if type(tree) is list:
            plain = set(map(type, tree)) <= SCALARS
            return tree if plain else [self.tree(item) for item in tree]
        if type(tree) is dict:
            ((tag, value),) = tree.items()
            return _READERS[tag](self, value)
        return tree


_READERS: dict[str, Callable[[_Unpacker, Any], object]] = {
    "i": lambda reader, value: int(value, 16),
    "t": lambda reader, value: tuple(reader.tree(value)),
    "d": lambda reader, value: {reader.tree(key): reader.tree(item) for key, item in value},
    "s": lambda reader, value: set(reader.tree(value)),
    "z": lambda reader, value: frozenset(reader.tree(value)),
    "b": lambda reader, value: value.encode("latin-1"),
    "y": lambda reader, value: bytearray(value.encode("latin-1")),
    "c": lambda reader, value: complex(*value),
    "r": lambda reader, value: range(*reader.tree(value)),
    "q": lambda reader, value: deque(reader.tree(value)),
    "D": lambda reader, value: Decimal(value),
    "F": lambda reader, value: Fraction(*reader.tree(value)),
    "I": lambda reader, value: iter(reader.tree(value)),
    "K": lambda reader, value: dict.fromkeys(reader.tree(value)).keys(),
    "V": lambda reader, value: dict(enumerate(reader.tree(value))).values(),
    "E": lambda reader, value: dict(reader.tree(value)).items(),
    "o": lambda reader, value: reader.objects[value],
    "T": lambda reader, value: _TYPES[value],
    "x": lambda reader, value: Foreign(str(value)),
}
