r"""Whether two numbers are equal that are too large to be written out: by their factors and logarithms.

    same_huge(parse("7^{7^7}"), parse("7^{823543}"))                # True: one base, one exponent
    same_huge(parse("9^{9^9}"), parse("9^{387420488}"))             # False: their logarithms differ
    same_huge(parse("10^{10^{10}}"), parse("10^{10^{10}}+1"))       # False: what is left differs
    same_huge(parse("3^{2^{99}}+7"), parse("3^{2^{99}}\\cdot 1^{x}+7"))   # None: nobody says

Equal only where factors prove it, different only where logarithms or what is left of two sums do.
"""

from collections import Counter
from fractions import Fraction
from typing import Any

from distill.verify.tree import Node, names, num
from distill.verify.value import TooLargeError, UndefinedError, exact

DEEPEST = 12
LARGEST_FACTORIAL = 20_000
TRIAL = 1_000  # primes that are looked for by division
LARGEST_EXPONENT_BITS = 4_000


def same_huge(left: Node, right: Node, depth: int = 0) -> bool | None:
    """Whether two constants are equal, or None."""
    if left == right:
        return True
    if depth > DEEPEST or names(left) or names(right):
        return None
    ours, theirs = _rest(left, right)
    if not ours and not theirs:
        return True
    if (len(ours) + len(theirs)) < len(_terms(left)) + len(_terms(right)):
        return _same(_sum(ours), _sum(theirs), depth)
    same = _by_factors(left, right) or _by_powers(left, right, depth)
    return same if same is not None else _by_logarithm(left, right)


def _same(left: Node, right: Node, depth: int) -> bool | None:
    try:
        ours, theirs = exact(left), exact(right)
    except UndefinedError:
        return None
    except TooLargeError:
        return same_huge(left, right, depth + 1)
    if ours is None or theirs is None:
        return _by_logarithm(left, right)
    return ours == theirs


def _terms(node: Node) -> list[Node]:
    return [term for part in node.args for term in _terms(part)] if node.op == "add" else [node]


def _rest(left: Node, right: Node) -> tuple[list[Node], list[Node]]:
    """The terms that only one of two sums has."""
    ours, theirs = Counter(_terms(left)), Counter(_terms(right))
    return list((ours - theirs).elements()), list((theirs - ours).elements())


def _sum(terms: list[Node]) -> Node:
    return num(0) if not terms else terms[0] if len(terms) == 1 else Node("add", tuple(terms))


# ── factors ──────────────────────────────────────────────────────────────────────────────────────


def _by_factors(left: Node, right: Node) -> bool | None:
    try:
        ours, theirs = factors(left), factors(right)
    except (TooLargeError, UndefinedError):
        return None
    return True if ours is not None and ours == theirs else None


def factors(node: Node) -> dict[int, Fraction] | None:
    """Prime factors with their exponents (-1 for the sign); None where it is no product of powers."""
    op, args = node
    if op == "neg":
        inside = factors(args[0])
        return None if inside is None else _times(inside, {-1: Fraction(1)})
    if op in ("mul", "div"):
        left, right = factors(args[0]), factors(args[1])
        if left is None or right is None:
            return None
        return _times(left, right if op == "mul" else {p: -e for p, e in right.items()})
    if op == "pow":
        base, exponent = factors(args[0]), exact(args[1])
        if base is None or exponent is None or (-1 in base and exponent.denominator != 1):
            return None
        if exponent.numerator.bit_length() > LARGEST_EXPONENT_BITS:
            raise TooLargeError("exponent")
        return _times({prime: power * exponent for prime, power in base.items()}, {})
    if op == "fact":
        return _primes_of_factorial(exact(args[0]))
    value = exact(node)
    if value is None or value == 0:
        return None
    made = _times(
        _primes(abs(value.numerator)), {p: -e for p, e in _primes(value.denominator).items()}
    )
    return _times(made, {-1: Fraction(1)}) if value < 0 else made


def _times(left: dict[int, Fraction], right: dict[int, Fraction]) -> dict[int, Fraction]:
    made = dict(left)
    for prime, power in right.items():
        made[prime] = made.get(prime, Fraction(0)) + power
    if -1 in made:
        made[-1] = made[-1] % 2
    return {prime: power for prime, power in made.items() if power}


def _primes_of_factorial(value: Fraction | None) -> dict[int, Fraction] | None:
    """Of n!: each prime as often as it divides 1 to n."""
    if value is None or value.denominator != 1 or value < 0:
        return None
    if value > LARGEST_FACTORIAL:
        raise TooLargeError("factorial")
    n = value.numerator
    sieve = bytearray([1]) * (n + 1)
    found: dict[int, Fraction] = {}
    for prime in range(2, n + 1):
        if sieve[prime]:
            sieve[prime * prime :: prime] = bytes(len(range(prime * prime, n + 1, prime)))
            power, count = prime, 0
            while power <= n:
                count += n // power
                power *= prime
            found[prime] = Fraction(count)
    return found


def _primes(value: int) -> dict[int, Fraction]:
    """Small primes, and what is left as if it were one."""
    if value.bit_length() > LARGEST_EXPONENT_BITS:
        raise TooLargeError("factors")
    found: dict[int, Fraction] = {}
    divisor = 2
    while divisor <= TRIAL and divisor * divisor <= value:
        while value % divisor == 0:
            found[divisor] = found.get(divisor, Fraction(0)) + 1
            value //= divisor
        divisor += 1
    if value > 1:
        found[value] = found.get(value, Fraction(0)) + 1
    return found


def _by_powers(left: Node, right: Node, depth: int) -> bool | None:
    """b^x and b^y of one base above 1 are equal exactly when x and y are."""
    if left.op == right.op == "pow":
        try:
            ours, theirs = exact(left.args[0]), exact(right.args[0])
        except (TooLargeError, UndefinedError):
            return None
        if ours is not None and ours == theirs and ours > 1:
            return _same(left.args[1], right.args[1], depth)
    return None


# ── logarithms ───────────────────────────────────────────────────────────────────────────────────


def _by_logarithm(left: Node, right: Node) -> bool | None:
    """False where signs or logarithms differ: no rounding makes that."""
    try:
        (our_sign, ours), (their_sign, theirs) = log_of(left), log_of(right)
    except TooLargeError:
        return _by_size(left, right)
    except UndefinedError:
        return None
    if our_sign != their_sign:
        return False
    if our_sign == 0:
        return True
    gap = abs(ours - theirs)
    return False if gap > max(abs(ours), abs(theirs), 1) * _context().mpf(10) ** -1000 else None


def _by_size(left: Node, right: Node) -> bool | None:
    """One side has a logarithm that can be written out, the other is a power that has none: different."""
    sides = []
    for node in (left, right):
        try:
            log_of(node)
            sides.append(True)
        except TooLargeError:
            sides.append(False)
        except UndefinedError:
            return None
    return False if sides[0] != sides[1] else None


def _context() -> Any:
    from distill.verify.evaluate import context

    return context(1300)


def log_of(node: Node) -> tuple[int, Any]:
    """The sign and the natural logarithm of the size. Raises `TooLargeError`, `UndefinedError`."""
    ctx = _context()
    op, args = node
    try:
        value = exact(node)
    except TooLargeError:
        value = None
    if value is not None:
        if value == 0:
            return 0, ctx.mpf(0)
        size = ctx.log(ctx.mpf(abs(value.numerator))) - ctx.log(ctx.mpf(value.denominator))
        return (1 if value > 0 else -1), size
    if op == "neg":
        sign, size = log_of(args[0])
        return -sign, size
    if op in ("mul", "div"):
        (one, ours), (two, theirs) = log_of(args[0]), log_of(args[1])
        if op == "div" and two == 0:
            raise UndefinedError("division by zero")
        return one * two, ours + theirs if op == "mul" else ours - theirs
    if op == "pow":
        return _log_of_power(args)
    if op == "fact":
        n = exact(args[0])
        if n is None or n.denominator != 1 or n < 0 or n.numerator.bit_length() > 64:
            raise TooLargeError("factorial")
        return 1, ctx.loggamma(ctx.mpf(n.numerator) + 1)
    if op == "add":
        return _log_of_sum([log_of(term) for term in args])
    raise UndefinedError(op)


def _log_of_power(args: tuple[Any, ...]) -> tuple[int, Any]:
    ctx = _context()
    sign, size = log_of(args[0])
    exponent = exact(args[1])  # raises TooLargeError for the next floor of a tower
    if exponent is None or sign == 0:
        raise UndefinedError("exponent")
    if exponent.numerator.bit_length() > LARGEST_EXPONENT_BITS:
        raise TooLargeError("exponent")
    if sign < 0:
        if exponent.denominator != 1:
            raise UndefinedError("root of a negative number")
        sign = -1 if exponent.numerator % 2 else 1
    return sign, size * ctx.mpf(exponent.numerator) / exponent.denominator


def _log_of_sum(terms: list[tuple[int, Any]]) -> tuple[int, Any]:
    ctx = _context()
    terms = [term for term in terms if term[0]]
    if not terms:
        return 0, ctx.mpf(0)
    top = max(size for _, size in terms)
    total = ctx.mpf(0)
    for sign, size in terms:
        if top - size < 10_000:  # what is e^10000 times smaller is not seen at these digits
            total += sign * ctx.exp(size - top)
    if abs(total) < ctx.mpf(10) ** -600:
        raise UndefinedError("the terms cancel")
    return (1 if total > 0 else -1), top + ctx.log(abs(total))
