"""What a program finds before its first line: names, helper classes, a few packages.

prepare({"numpy": "/usr/lib/python3/site-packages/numpy"})     # once, in the warden
namespace = new_module("solution", "preamble")                 # {"List": ..., "ListNode": ..., ...}
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any

SOLUTION, TESTS, MAIN = "solution", "tests", "__main__"  # names of modules

# The names that LeetCode's own environment has before a solution begins (its help page "What are the
# environments for the programming languages?", Python 3), later lines over earlier ones.
_PREAMBLE = """\
from string import *
from re import *
from datetime import *
from collections import *
from heapq import *
from bisect import *
from copy import *
from math import *
from random import *
from statistics import *
from itertools import *
from functools import *
from operator import *
from typing import *
import string, re, datetime, collections, heapq, bisect, copy, math, random, statistics, itertools
import functools, operator, typing, sys, io, json
from builtins import *

class ListNode:
    def __init__(self, val=0, next=None):
        self.val, self.next = val, next

class TreeNode:
    def __init__(self, val=0, left=None, right=None):
        self.val, self.left, self.right = val, left, right
"""

# What LeetCode-style tests expect to be there, too; trees in LeetCode's order, level by level.
_HELPERS = """\
from builtins import *
from typing import *

class ListNode:
    def __init__(self, val=0, next=None):
        self.val, self.next = val, next

class TreeNode:
    def __init__(self, val=0, left=None, right=None):
        self.val, self.left, self.right = val, left, right

def list_node(values):
    head = None
    for value in reversed(values):
        head = ListNode(value, head)
    return head

def is_same_list(one, other):
    while one is not None and other is not None:
        if one.val != other.val:
            return False
        one, other = one.next, other.next
    return one is None and other is None

def tree_node(values):
    if not values or values[0] is None:
        return None
    root = TreeNode(values[0])
    level, rest = [root], iter(values[1:])
    for node in level:
        for side in ("left", "right"):
            value = next(rest, None)
            if value is not None:
                setattr(node, side, TreeNode(value))
                level.append(getattr(node, side))
    return root

def is_same_tree(one, other):
    pairs = [(one, other)]
    while pairs:
        one, other = pairs.pop()
        if one is None or other is None:
            if one is not other:
                return False
        elif one.val != other.val:
            return False
        else:
            pairs += [(one.left, other.left), (one.right, other.right)]
    return True
"""

# Imported once, so that no run pays for it.
_USUAL = (
    "abc cmath contextlib dataclasses decimal enum fractions hashlib queue tempfile time unittest"
)
_ready: dict[str, types.CodeType] = {}


def prepare(packages: Mapping[str, str]) -> None:
    """In the warden: import the usual modules; ``packages`` may be imported besides the standard library."""
    sys.meta_path.append(_Packages(packages))
    for name in _USUAL.split():
        importlib.import_module(name)
    for name, text in (("preamble", _PREAMBLE), ("helpers", _HELPERS)):
        _ready[name] = compile(text, f"<{name}>", "exec")
        exec(_ready[name], {"__name__": name})


class _Packages(importlib.abc.MetaPathFinder):
    """Finds a few packages by name, whatever lies beside them."""

    def __init__(self, packages: Mapping[str, str]) -> None:
        self.packages = packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        folder = self.packages.get(fullname)
        if folder is None:
            return None
        return importlib.util.spec_from_file_location(
            fullname, f"{folder}/__init__.py", submodule_search_locations=[folder]
        )


def new_module(name: str, before: str | None) -> dict[str, Any]:
    """The namespace of a new module, with what stands before its code."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    if before:
        exec(_ready[before], module.__dict__)
    module.__dict__["__name__"] = name
    return module.__dict__
