"""What the made half of tests/verify/pairs.jsonl is built from: values, each in two forms, and near misses.

    next(fractions(random.Random("fractions"))).same  # True: the first case of each family is equal

A label is the comparison of the values themselves, as integers, fractions or tuples of them, or follows
from how the text was built; no checker is asked. Where the answer stands in a response is not decided
here: scripts/make_pairs.py does that.
"""

import math
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple


class Case(NamedTuple):
    gold: str
    answer: str
    same: bool | None  # None: the response states no answer
    note: str
    choices: list[str] | None = None


def frac(q: Fraction, command: str = "\\frac") -> str:
    sign = "-" if q < 0 else ""
    return f"{sign}{command}{{{abs(q.numerator)}}}{{{q.denominator}}}"


def pi(q: Fraction) -> str:
    top = "\\pi" if q.numerator == 1 else f"{q.numerator}\\pi"
    return top if q.denominator == 1 else f"\\frac{{{top}}}{{{q.denominator}}}"


def decimal(q: Fraction, places: int) -> str:
    """Rounded half up; exact where ``places`` digits suffice."""
    units = math.floor(abs(q) * 10**places + Fraction(1, 2))
    whole, rest = divmod(units, 10**places)
    return f"{'-' if q < 0 else ''}{whole}.{rest:0{places}d}"


def digits(n: int, base: int) -> str:
    text = ""
    while n:
        n, digit = divmod(n, base)
        text = "0123456789ABCDEF"[digit] + text
    return text


def term(a: int, name: str) -> str:
    """+ax with its sign, fit to follow another term; empty for a = 0."""
    if a == 0:
        return ""
    size = "" if abs(a) == 1 and name else str(abs(a))
    return f"{'+' if a > 0 else '-'}{size}{name}"


def line(*terms: tuple[int, str]) -> str:
    return "".join(term(a, name) for a, name in terms).removeprefix("+") or "0"


def nonzero(rng: random.Random, size: int) -> int:
    return (1 + rng.randrange(size)) * (1 - 2 * rng.randrange(2))


def integers(rng: random.Random) -> Iterator[Case]:
    for size in (2, 4, 7, 12, 18, 24):
        n, k = rng.randrange(10 ** (size - 1), 10**size), 3 + rng.randrange(6)
        n += n % k == 0  # a rest of zero would be written, too
        swapped = int(str(n)[:-2] + str(n)[-1] + str(n)[-2])
        sum_of = f"{n // k}\\cdot {k}+{n % k}"
        yield Case(str(n), sum_of, n == n // k * k + n % k, "written as quotient and rest")
        yield Case(str(n), str(n + 1), n == n + 1, "one more")
        yield Case(str(-n), str(n), -n == n, "sign")
        yield Case(str(n), str(swapped), n == swapped, "last two digits exchanged")
        yield Case(str(n), f"{n}.0", True, "decimal zero")


def separators(rng: random.Random) -> Iterator[Case]:
    for separator in (",", "{,}", "\\,", ",\\!", " ", "\\ "):
        n = rng.randrange(10**6, 10**8)
        grouped = f"{n:,}".replace(",", separator)
        short = f"{n // 1000:,}".replace(",", separator)
        yield Case(str(n), grouped, True, f"groups split by {separator!r}")
        yield Case(grouped, str(n), True, f"gold split by {separator!r}")
        yield Case(str(n), short, n == n // 1000, "a group lost")
        yield Case(str(n // 1000), f"({n // 10**6},{n // 1000 % 1000:03d})", False, "a pair")


def decimals(rng: random.Random) -> Iterator[Case]:
    for _ in range(5):
        q = Fraction(rng.randrange(1000, 99999), 1000)
        yield Case(decimal(q, 3), decimal(q, 5), True, "trailing zeros")
        yield Case(frac(q), decimal(q, 3), True, "terminating decimal")
        yield Case(decimal(q, 3), decimal(q / 10, 4), q == q / 10, "point moved")
        yield Case(decimal(q, 3), decimal(q + Fraction(1, 1000), 3), False, "last digit")
        third = Fraction(10 * rng.randrange(1, 9) + 1, rng.choice([7, 11, 13]) * 3)
        yield Case(frac(third), decimal(third, 6), False, "exact gold, rounded response")
        yield Case(decimal(third, 4), frac(third), True, "gold is the response rounded")
        off = third + Fraction(2, 10**4)
        yield Case(decimal(off, 4), frac(third), False, "gold is off in the last digit")


def fractions(rng: random.Random) -> Iterator[Case]:
    for command in ("\\frac", "\\dfrac", "\\tfrac"):
        for _ in range(2):
            q = Fraction(rng.randrange(2, 40) * 2 + 1, 2 ** rng.randrange(1, 5)) / 3
            a, b = q.numerator, q.denominator
            whole = math.floor(q)
            near, k = Fraction(a, b + 1), 2 + rng.randrange(5)
            yield Case(frac(q), frac(q, command), True, f"{command}")
            yield Case(frac(-q), f"-{a}/{b}", True, "slash")
            yield Case(frac(q), f"\\frac{{{a * k}}}{{{b * k}}}", True, "not reduced")
            yield Case(frac(q), frac(1 / q, command), q == 1 / q, "upside down")
            yield Case(frac(q), frac(near), q == near, "denominator one more")
            if whole:
                mixed = f"{whole}{command}{{{a - whole * b}}}{{{b}}}"
                glued = Fraction(int(f"{whole}{a - whole * b}"), b)
                yield Case(frac(q), mixed, True, "mixed number")
                yield Case(mixed, frac(glued), q == glued, "whole part glued on as a digit")


def percentages(rng: random.Random) -> Iterator[Case]:
    for _ in range(6):
        p = Fraction(rng.randrange(11, 990), 10)
        q = p / 100
        yield Case(f"{decimal(p, 1)}\\%", decimal(q, 3), True, "as a decimal")
        yield Case(f"{decimal(p, 1)}\\%", frac(q), True, "as a fraction")
        yield Case(frac(q), f"{decimal(p, 1)}\\%", True, "fraction as percent")
        yield Case(f"{decimal(p, 1)}\\%", f"{decimal(p / 10, 2)}\\%", False, "ten times less")
        yield Case(
            f"{decimal(p, 1)}\\%", f"{decimal(q, 3)}\\%", p == q, "percent sign on the ratio"
        )


def scientific(rng: random.Random) -> Iterator[Case]:
    for power in (-21, -9, -4, 4, 9, 15):
        lead = Fraction(rng.randrange(101, 999), 100)
        gold = f"{decimal(lead, 2)} \\times 10^{{{power}}}"
        dot = f"{decimal(lead * 10, 1)} \\cdot 10^{{{power - 1}}}"
        value = lead * Fraction(10) ** power
        plain = decimal(value, 2 - power) if power < 0 else str(int(value))
        yield Case(gold, dot, True, "other exponent, same number")
        yield Case(gold, plain, True, "written out")
        yield Case(gold, gold.replace(f"{{{power}}}", f"{{{power + 1}}}"), False, "exponent")
        yield Case(gold, gold.replace(f"{{{power}}}", f"{{{-power}}}"), False, "its sign")


def units(rng: random.Random) -> Iterator[Case]:
    table = [("m", "cm", 100), ("kg", "g", 1000), ("km", "m", 1000), ("h", "min", 60)]
    for large, small, factor in table + [("min", "s", 60), ("L", "mL", 1000)]:
        n = rng.randrange(2, 90)
        gold = f"{n}\\text{{ {large}}}"
        yield Case(gold, str(n), True, "unit left out")
        yield Case(str(n), f"{n}\\,\\mathrm{{{large}}}", True, "unit added")
        yield Case(gold, f"{n * factor}\\text{{ {small}}}", True, "smaller unit")
        yield Case(gold, f"{n}\\text{{ {small}}}", factor == 1, "number kept, unit changed")


def degrees(rng: random.Random) -> Iterator[Case]:
    for d in (15, 36, 75, 105, 144, 210, 330):
        q, off = Fraction(d, 180), Fraction(180 - d, 180)
        yield Case(f"{d}^\\circ", pi(q), True, "radians")
        yield Case(pi(q), f"{d}^{{\\circ}}", True, "degrees")
        yield (
            Case(f"{d}^\\circ", pi(off), q == off, "supplement")
            if off > 0
            else Case(f"{d}^\\circ", pi(q - 1), False, "half a turn less")
        )
        yield Case(pi(q), f"{d // 3}^\\circ", d == d // 3, "a third of it")


def currency(rng: random.Random) -> Iterator[Case]:
    for sign, word in (("\\$", "dollars"), ("€", "euros"), ("\\text{£}", "pounds"), ("¥", "元")):
        n = rng.randrange(1200, 9900)
        yield Case(str(n), f"\\boxed{{{sign}{n:,}}}", True, "sign and separator")
        yield Case(f"{sign}{n}", f"\\boxed{{{n}}}", True, "sign left out")
        yield Case(f"{sign}{n}", f"The total is {n}.00 {word}, so the answer is {n}.", True, "word")
        yield Case(f"{sign}{n}", f"\\boxed{{{sign}{n}0}}", False, "a zero too many")
        yield Case(f"{sign}{n}.50", f"\\boxed{{{sign}{n}.05}}", False, "cents exchanged")


def powers(rng: random.Random) -> Iterator[Case]:
    for _ in range(7):
        a, b = 2 + rng.randrange(5), 7 + rng.randrange(30)
        yield Case(f"{a}^{{{b}}}", str(a**b), True, "written out")
        yield Case(f"{a}^{{{b}}}", f"{b}^{{{a}}}", a**b == b**a, "exchanged")
        yield Case(f"{a}^{{{b}}}", str(a**b + 1), False, "one more")
        yield Case(f"{a**2}^{{{b}}}", f"{a}^{{{2 * b}}}", a ** (2 * b) == (a**2) ** b, "square")


def roots(rng: random.Random) -> Iterator[Case]:
    for m in (2, 3, 5, 6, 7, 10):
        k = 2 + rng.randrange(9)
        square = k * k * m
        yield Case(f"\\sqrt{{{square}}}", f"{k}\\sqrt{{{m}}}", True, "square taken out")
        yield Case(f"{k}\\sqrt{{{m}}}", f"\\sqrt{{{k * m}}}", square == k * m, "factor not squared")
        yield Case(
            f"\\frac{{{k}}}{{\\sqrt{{{m}}}}}", f"\\frac{{{k}\\sqrt{{{m}}}}}{{{m}}}", True, "top"
        )
        rounded = decimal(Fraction(math.isqrt(square * 10**12), 10**6), 4)
        yield Case(f"\\sqrt{{{square}}}", rounded, False, "exact gold, rounded response")


def towers(rng: random.Random) -> Iterator[Case]:
    for _ in range(5):
        a, n = 2 + rng.randrange(5), rng.randrange(60, 900)
        tiny, next_tiny = Fraction(1, a**n), Fraction(1, a ** (n + 1))
        gold = f"\\frac{{1}}{{{a}^{{{n}}}}}"
        yield Case(gold, f"{a}^{{-{n}}}", True, "negative exponent")
        yield Case(gold, f"\\frac{{1}}{{{a}^{{{n + 1}}}}}", tiny == next_tiny, "exponent one more")
        yield Case(f"\\frac{{{n}!}}{{{n - 2}!}}", str(n * (n - 1)), True, "quotient of factorials")
        yield Case(f"\\frac{{1}}{{{n}!}}", f"\\frac{{1}}{{{n + 1}!}}", False, "neighbour")
        close = Fraction(a**n + 1, 3 * a ** (n + 1))
        text = f"\\frac{{{a}^{{{n}}}+1}}{{3\\cdot {a}^{{{n + 1}}}}}"
        limit = Fraction(1, 3 * a)
        yield Case(text, frac(limit), close == limit, "its limit")
        yield Case(f"1-{a}^{{-{n}}}", f"1-{a}^{{-{n + 1}}}", tiny == next_tiny, "both just below 1")
        yield Case(f"{a}^{{{n}^{{2}}}}", f"{a}^{{{n * n}}}", True, "top of the tower first")
        yield Case(f"{a}^{{{n}^{{2}}}}", f"{a}^{{{2 * n}}}", n * n == 2 * n, "bottom first")


def pi_e(rng: random.Random) -> Iterator[Case]:
    for constant in ("e", "\\mathrm{e}", "\\pi"):
        for _ in range(2):
            a, b = 2 + rng.randrange(20), 2 + rng.randrange(7)
            gold = f"{a}-\\frac{{{b}}}{{{constant}}}"
            q = Fraction(2 * a + 1, 2 * (a % 5) + 4)
            yield Case(gold, f"\\frac{{{a}{constant}-{b}}}{{{constant}}}", True, "one fraction")
            yield Case(gold, f"{a}+\\frac{{{b}}}{{{constant}}}", False, "sign")
            yield Case(f"{a}{constant}^2", f"({a}{constant})^2", a == a * a, "square of the factor")
            yield Case(pi(q), f"\\frac{{{q.numerator}}}{{{q.denominator}}}\\pi", True, "pi behind")


def tuples(rng: random.Random) -> Iterator[Case]:
    for _ in range(6):
        a, b = nonzero(rng, 9), 10 + rng.randrange(9)
        half = Fraction(b * 2 + 1, 2)
        yield Case(f"({a},{b})", f"\\left({a}, {b}\\right)", True, "sized brackets")
        yield Case(f"({a},{b})", f"({b},{a})", (a, b) == (b, a), "order")
        yield Case(f"({a},{frac(half)})", f"({a},{decimal(half, 1)})", True, "decimal entry")
        yield Case(f"({a},{b})", f"({-a},{b})", a == -a, "sign of one entry")


def sets(rng: random.Random) -> Iterator[Case]:
    for _ in range(6):
        a, b, c = (rng.randrange(10 * k, 10 * k + 9) for k in (1, 2, 3))
        gold = f"\\{{{a},{b},{c}\\}}"
        yield Case(gold, f"\\{{{c}, {a}, {b}\\}}", {a, b, c} == {c, a, b}, "order")
        yield Case(gold, f"{b}, {a}, {c}", True, "braces left out")
        yield Case(gold, f"\\{{{a},{c}\\}}", {a, b, c} == {a, c}, "one missing")
        yield Case(gold, f"\\{{{a},{b},{c + 1}\\}}", False, "one differs")


def intervals(rng: random.Random) -> Iterator[Case]:
    for _ in range(6):
        a, b = -1 - rng.randrange(9), 1 + rng.randrange(9)
        yield Case(f"[{a},{b})", f"{a} \\le x < {b}", True, "as a chain")
        yield Case(f"[{a},{b})", f"({a},{b}]", False, "ends exchanged")
        yield Case(f"({a},{b})", f"({a},{b}]", False, "end closed")
        union = f"(-\\infty,{a}]\\cup[{b},\\infty)"
        yield Case(union, f"[{b},+\\infty)\\cup(-\\infty,{a}]", True, "order of the union")
        yield Case(union, f"[{a},{b}]", False, "complement")


def inequalities(rng: random.Random) -> Iterator[Case]:
    for _ in range(6):
        a, k = nonzero(rng, 9), 2 + rng.randrange(5)
        yield Case(f"x > {a}", f"{a} < x", True, "turned round")
        yield Case(f"x > {a}", f"({a},\\infty)", True, "as an interval")
        yield Case(f"x \\ge {a}", f"{k}x \\geq {k * a}", True, f"times {k}")
        yield Case(f"x \\ge {a}", f"x > {a}", False, "open")
        yield Case(f"x > {a}", f"-x > {-a}", False, "sign turned, direction not")


def equations(rng: random.Random) -> Iterator[Case]:
    for _ in range(6):
        a, b, k = 2 + rng.randrange(6), nonzero(rng, 9), 2 + rng.randrange(4)
        gold = f"y={line((a, 'x'), (b, ''))}"
        whole = line((k * a, "x"), (-k, "y"), (k * b, "")) + "=0"
        wrong = line((k * a, "x"), (k, "y"), (k * b, "")) + "=0"
        part = line((k * a, "x"), (-k, "y"), (b, "")) + "=0"
        yield Case(gold, whole, True, f"times {k}, all on one side")
        yield Case(gold, gold.removeprefix("y="), True, "name left out")
        yield Case(gold, wrong, False, "sign of y")
        yield Case(gold, part, b == k * b, "the constant was not multiplied")


def solutions(rng: random.Random) -> Iterator[Case]:
    for joint in (" \\text{ or } ", ", ", " \\text{ and } ", " \\text{ 或 } "):
        a, b = nonzero(rng, 9), 10 + rng.randrange(30)
        yield Case(f"{a},{b}", f"x={b}{joint}x={a}", {a, b} == {b, a}, "named, other order")
        yield Case(f"x={a}{joint}x={b}", f"{a},{b}", True, "names left out")
        yield Case(f"{a},{b}", f"x={a}", {a, b} == {a}, "one missing")
        yield Case(f"{a},{b}", f"x={-a}{joint}x={b}", {a, b} == {-a, b}, "sign of one")
        yield Case(f"{b}", f"x={a}{joint}x={b}", {b} == {a, b}, "one too many")


def plus_minus(rng: random.Random) -> Iterator[Case]:
    for m in (2, 3, 5, 7, 11):
        a = 2 + rng.randrange(9)
        yield Case(f"\\pm {a}", f"-{a}, {a}", True, "written out")
        yield Case(f"\\pm {a}", f"{a}", {a, -a} == {a}, "one sign only")
        both = f"{a}-\\sqrt{{{m}}}, {a}+\\sqrt{{{m}}}"
        yield Case(f"{a}\\pm\\sqrt{{{m}}}", both, True, "written out")
        yield Case(f"{a}\\pm\\sqrt{{{m}}}", f"\\pm\\sqrt{{{m}}}-{a}", False, "sign of the rest")


def matrices(rng: random.Random) -> Iterator[Case]:
    for kind in ("pmatrix", "bmatrix", "Bmatrix"):
        a, b, c, d = (rng.randrange(10 * k, 10 * k + 9) for k in (1, 2, 3, 4))
        gold = f"\\begin{{pmatrix}}{a}&{b}\\\\{c}&{d}\\end{{pmatrix}}"
        other = f"\\begin{{{kind}}} {a} & {b} \\\\ {c} & {d} \\end{{{kind}}}"
        turned = f"\\begin{{{kind}}}{a}&{c}\\\\{b}&{d}\\end{{{kind}}}"
        spoilt = f"\\begin{{{kind}}}{a}&{b}\\\\{c}&{d + 1}\\end{{{kind}}}"
        yield Case(gold, other, True, kind)
        yield Case(gold, turned, b == c, "transposed")
        yield Case(gold, spoilt, d == d + 1, "last entry")
        yield Case(gold, str(a * d - b * c), False, "its determinant")
        yield Case(f"\\det {gold}", str(a * d - b * c), True, "determinant worked out")


def polynomials(rng: random.Random) -> Iterator[Case]:
    for _ in range(7):
        a, b, c = 2 + rng.randrange(4), nonzero(rng, 9), 1 + rng.randrange(9)
        gold = line((a, "x^2"), (a * c + b, "x"), (b * c, ""))  # (ax + b)(x + c)
        left, right = line((a, "x"), (b, "")), line((1, "x"), (c, ""))
        yield Case(gold, f"({left})({right})", True, "factored")
        yield Case(gold, f"({right})({left})", True, "factored, other order")
        yield Case(gold, f"({left})({line((1, 'x'), (-c, ''))})", c == -c, "sign in a factor")
        yield Case(gold, line((a, "x^2"), (a * c + b + 1, "x"), (b * c, "")), False, "coefficient")


SINES = {15: "\\frac{\\sqrt{6}-\\sqrt{2}}{4}", 30: "\\frac{1}{2}", 45: "\\frac{\\sqrt{2}}{2}"}
SINES |= {60: "\\frac{\\sqrt{3}}{2}", 75: "\\frac{\\sqrt{6}+\\sqrt{2}}{4}"}


def trig_log(rng: random.Random) -> Iterator[Case]:
    for d, text in SINES.items():
        yield Case(text, f"\\sin {180 - d}^\\circ", True, "supplement has the same sine")
        if d != 45:
            yield Case(text, SINES[90 - d], d == 90 - d, "cosine instead of sine")
    for a in (2, 3, 5, 7, 10):
        k = 2 + rng.randrange(7)
        yield Case(f"\\log_{{{a}}} {a**k}", str(k), True, "power of the base")
        yield Case(f"\\log_{{{a}}} {a**k}", f"\\frac{{1}}{{{k}}}", k == Fraction(1, k), "inverse")
        yield Case(f"\\ln {a**k}", f"{k}\\ln {a}", True, "exponent in front")
        yield Case(f"\\ln {a**k}", f"\\ln {a * k}", a**k == a * k, "product for power")


def complex_numbers(rng: random.Random) -> Iterator[Case]:
    for _ in range(6):
        a, b, c, d = (nonzero(rng, 6) for _ in range(4))
        real, imaginary = a * c - b * d, a * d + b * c
        gold = line((real, ""), (imaginary, "i"))
        product = f"({line((a, ''), (b, 'i'))})({line((c, ''), (d, 'i'))})"
        yield Case(gold, product, True, "as a product")
        yield Case(gold, line((imaginary, "i"), (real, "")), True, "imaginary part first")
        conjugate = line((real, ""), (-imaginary, "i"))
        yield Case(gold, conjugate, imaginary == -imaginary, "conjugate")
        turned = line((-imaginary, ""), (real, "i"))
        yield Case(gold, turned, (real, imaginary) == (-imaginary, real), "times i")


def bases(rng: random.Random) -> Iterator[Case]:
    for base in (2, 3, 5, 7, 8, 12):
        n = rng.randrange(base**3, base**5)
        text = digits(n, base)
        yield Case(
            f"{text}_{base}" if base < 10 else f"{text}_{{12}}",
            f"{text}_{{{base}}}",
            True,
            "braces",
        )
        yield Case(f"{text}_{{{base}}}", f"{n}_{{10}}", True, "base ten")
        yield Case(f"{text}_{{{base}}}", f"{digits(n + 1, base)}_{{{base}}}", False, "next number")
        yield Case(f"{text}_{{{base}}}", f"{text}_{{{base + 1}}}", False, "other base")


FORMS: dict[str, Callable[[random.Random], Iterator[Case]]] = {
    "integers": integers, "separators": separators, "decimals": decimals, "fractions": fractions,
    "percentages": percentages, "scientific": scientific, "units": units, "degrees": degrees,
    "currency": currency, "powers": powers, "roots": roots, "towers": towers, "pi_e": pi_e,
    "tuples": tuples, "sets": sets, "intervals": intervals, "inequalities": inequalities,
    "equations": equations, "solutions": solutions, "plus_minus": plus_minus, "matrices": matrices,
    "polynomials": polynomials, "trig_log": trig_log, "complex": complex_numbers, "bases": bases,
}  # fmt: skip
