"""Answers that cost far more to check than to write: towers, factorials, nesting, braces, bait for regexes.

    for answer in hostile(): answer.name, answer.gold, answer.response

Fifty, made here. What a checker says of them does not matter; that it says so in time does.
"""

from typing import NamedTuple

SIZE = 100_000  # characters of the long ones


class Hostile(NamedTuple):
    name: str
    gold: str
    response: str


def hostile() -> list[Hostile]:
    boxed = [(name, gold, f"So \\boxed{{{answer}}}") for name, gold, answer in _answers()]
    made = [Hostile(*row) for row in [*boxed, *_responses()]]
    assert len(made) == 50 and len({row.name for row in made}) == 50, len(made)
    return made


def nest(opening: str, inside: str, closing: str, depth: int) -> str:
    return opening * depth + inside + closing * depth


def _answers() -> list[tuple[str, str, str]]:
    """Name, expected answer, what stands in the box."""
    matrix = " \\\\ ".join(" & ".join(f"x^{{{r * c}}}" for c in range(20)) for r in range(20))
    numbers = [str(n) for n in range(1500)]
    return [
        # towers
        ("tower of nines", "3", "9^{9^{9^{9}}}"),
        ("tower of tens", "1", "10^{10^{10}}"),
        ("tall tower of twos", "x+1", nest("2^{", "2", "}", 40)),
        ("tower against tower", "9^{9^{9^{8}}}", "9^{9^{9^{9}}}"),
        ("tower and one more", "7^{7^{7^{7}}}", "7^{7^{7^{7}}}+1"),
        ("tower below", "0", "\\frac{1}{9^{9^{9^{9}}}}"),
        ("tower of a sine", "0", "\\sin(10^{10^{10^{10}}})"),
        ("root of a tower", "2", "\\sqrt[10^{9}]{2^{10^{9}}+1}"),
        ("tower modulo", "1", "7^{7^{7^{7}}} \\mod 13"),
        ("power of a sum", "x+1", "(x+y+z+1)^{100000}"),
        ("powers of one another", "x", "(((((x^{99})^{99})^{99}+1)^{99})^{99}+1)^{99}"),
        # factorials and what grows like them
        ("million factorial", "1", "1000000!"),
        ("billion factorial", "1", "(10^{9})!"),
        ("factorial of factorial", "1", "((9!)!)!"),
        ("many factorials", "6", "3!!!!!!!!!!"),
        ("quotient of factorials", "10^{8}", "\\frac{100000000!}{99999999!}"),
        ("near factorials", "\\frac{1}{2006!}", "\\frac{1}{2004!}"),
        ("binomial", "1", "\\binom{1000000000}{500000000}"),
        ("gamma", "1", "\\Gamma(10^{12})"),
        # sums, products, integrals, limits
        ("long sum", "2", "\\sum_{k=1}^{10^{9}} \\frac{1}{k^{k}}"),
        ("long product", "2", "\\prod_{k=1}^{10^{7}} (k+x)"),
        ("integral of a tower", "1", "\\int_0^1 e^{x^{x^{x}}} dx"),
        ("integral of integrals", "1", "\\int \\int \\int \\sin(\\cos(\\tan(e^{xyz}))) dx dy dz"),
        ("limit", "1", "\\lim_{x \\to \\infty} \\frac{x^{x^{x}}}{(x+1)^{x^{x}}}"),
        ("polynomial quotient", "x", "\\frac{x^{300000}-1}{x-1}"),
        ("matrix", "x", f"\\begin{{pmatrix}} {matrix} \\end{{pmatrix}}"),
        ("large set", "\\{" + ",".join(numbers) + "\\}", "\\{" + ",".join(reversed(numbers)) + "\\}"),
        ("many solutions", ",".join(f"x^{{{n}}}" for n in numbers[:200]),
         ",".join(f"x^{{{n}}}" for n in reversed(numbers[:200]))),
        ("many intervals", "x", "\\cup".join(f"[{n},{n}.5)" for n in numbers[:400])),
        ("equation", "x=1", "x^{99999}+y^{99998}=z^{99997}"),
        # nesting
        ("nested fractions", "1", nest("\\frac{1}{1+", "x", "}", 120)),
        ("nested roots", "1", nest("\\sqrt{2+", "x", "}", 150)),
        ("nested parentheses", "x+1", nest("(", "x", ")", 1500)),
        ("nested braces", "x+1", nest("{", "x", "}", 2000)),
        ("nested sines", "x", nest("\\sin(", "x", ")", 300)),
        ("many signs", "1", "-" * 4000 + "1"),
        ("many terms", "x", "+".join(f"x^{{{n}}}" for n in range(400))),
        # long numbers
        ("long integer", "1", "9" * SIZE),
        ("long decimal", "\\frac{1}{3}", "0." + "3" * 4900),
        ("long fraction", "1", "7" * 2000 + "/" + "3" * 2000),
        ("huge exponent", "1", "1e999999999"),
        ("huge power of ten", "1", "3.7 \\times 10^{999999999999}"),
    ]  # fmt: skip


def _responses() -> list[tuple[str, str, str]]:
    """Name, expected answer, the whole response."""
    half = SIZE // 2
    return [
        ("100 KB of opening braces", "x+1", "\\boxed" + "{" * SIZE),
        ("100 KB of balanced braces", "x+1", "\\boxed{" + nest("{", "x", "}", half) + "}"),
        ("100 KB of boxes", "x+1", nest("\\boxed{", "x", "}", SIZE // 8)),
        ("100 KB of dollars", "x+1", "$" * SIZE),
        ("bait: the answer is", "x+1", "the answer is " * (SIZE // 14)),
        ("bait: stars after the answer", "x+1", "answer is" + "*_ " * (SIZE // 3) + "y"),
        ("bait: commas", "x+1", "The answer is " + "1," * half),
        ("bait: options", "x+1", "(A) " * (SIZE // 4) + "\\boxed{\\text{" + "a " * 1000 + "}}"),
    ]
