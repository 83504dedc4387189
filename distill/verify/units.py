"""Units and currencies: what stands behind a number, as a dimension and a factor.

    unit_of("cm^2")             # Unit("L2", Fraction(1, 10000))
    unit_of("miles per hour")   # Unit("L1T-1", ...)
    unit_of("apples")           # Unit("apple", 1): a thing counted, by its own name

English, abbreviated and Chinese. Not a physics library: what is not here is a counted thing.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple


class Unit(NamedTuple):
    """``dimension``: equal only to itself; ``factor``: how many of the dimension's own unit."""

    dimension: str
    factor: Fraction


def _table() -> dict[str, tuple[str, Fraction]]:
    table: dict[str, tuple[str, Fraction]] = {}
    for line in _UNITS.strip().splitlines():
        dimension, factor, names = line.split("|")
        for name in names.split(","):
            table[name.strip()] = (dimension.strip(), Fraction(factor.strip()))
    return table


# Dimension, factor, names. Case counts for abbreviations only where it must (mL, ml; M is no meter).
_UNITS = """
L | 1 | m,meter,metre,米
L | 1/1000 | mm,millimeter,millimetre,毫米
L | 1/100 | cm,centimeter,centimetre,厘米
L | 1/10 | dm,decimeter,decimetre,分米
L | 1000 | km,kilometer,kilometre,千米,公里
L | 1/1000000000 | nm,nanometer,nanometre,纳米
L | 1/1000000 | μm,um,micrometer,micron,微米
L | 254/10000 | inch,inches,in
L | 3048/10000 | ft,foot,feet
L | 9144/10000 | yd,yard,yards
L | 1609344/1000 | mi,mile,miles,英里
T | 1 | s,sec,second,秒,秒钟
T | 60 | min,mins,minute,分钟
T | 3600 | h,hr,hrs,hour,小时,时
T | 86400 | day,days,天,日
T | 604800 | week,weeks,周,星期
T | 1/1000 | ms,millisecond,毫秒
month | 1 | month,months,个月,月
year | 1 | year,years,yr,yrs,年
M | 1 | g,gram,gramme,克
M | 1000 | kg,kilogram,kgs,千克,公斤
M | 1/1000 | mg,milligram,毫克
M | 1000000 | t,ton,tonne,吨
M | 500 | 斤
M | 45359237/100000 | lb,lbs,pound,pounds
M | 45359237/1600000 | oz,ounce,ounces
L3 | 1/1000 | l,L,liter,litre,升
L3 | 1/1000000 | ml,mL,milliliter,millilitre,毫升,cc
L2 | 10000 | hectare,ha,公顷
USD | 1 | dollar,dollars,USD,usd,美元,bucks,$
USD | 1/100 | cent,cents,¢,美分
EUR | 1 | euro,euros,EUR,€,欧元
GBP | 1 | pounds sterling,GBP,英镑
GBP | 1/100 | pence,penny
CNY | 1 | yuan,RMB,CNY,元,元钱,块,块钱,人民币
CNY | 1/10 | 角
CNY | 1/100 | 分
INR | 1 | rupee,rupees,INR
degC | 1 | °C,celsius,摄氏度
degF | 1 | °F,fahrenheit,华氏度
K | 1 | K,kelvin
angle | 1 | rad,radian,radians,弧度
N | 1 | N,newton,newtons,牛,牛顿
J | 1 | J,joule,joules,焦,焦耳
J | 1000 | kJ,kilojoule,千焦
W | 1 | W,watt,watts,瓦,瓦特
W | 1000 | kW,kilowatt,千瓦
V | 1 | V,volt,volts,伏,伏特
A | 1 | A,amp,amps,ampere,安,安培
C | 1 | C,coulomb,coulombs,库仑
Pa | 1 | Pa,pascal,帕
Pa | 1000 | kPa
Hz | 1 | Hz,hertz,赫兹
eV | 1 | eV
mol | 1 | mol,mole,moles,摩尔
ohm | 1 | ohm,ohms,Ω,欧姆
"""
_COMPOUND = {
    "mph": (("L", 1), ("T", -1), Fraction(1609344, 3600000)),
    "kph": (("L", 1), ("T", -1), Fraction(1000, 3600)),
    "kmh": (("L", 1), ("T", -1), Fraction(1000, 3600)),
}
_NAMES = _table()
_PART = re.compile(
    r"(?P<slash>/|\bper\b|每)|(?P<square>\b(?:square|sq)\b\.?|平方)|(?P<cubic>\bcubic\b|立方)"
    r"|(?P<raised>(?:\^|\*\*)\{?(-?\d)\}?)|(?P<joint>[\s*·.^{}-]+)|(?P<word>°?[A-Za-zμΩ$€¢°]+|[\u4e00-\u9fff]+)"
)
_IGNORED = {"of", "the", "a", "an", "units", "unit", "total", "altogether", "each"}


def is_unit(word: str) -> bool:
    """Whether a plain word behind a number is a known unit."""
    return word in _COMPOUND or _name(word) is not None


def _name(word: str) -> tuple[str, Fraction] | None:
    for form in (word, word.lower(), word.lower().removesuffix("s")):
        if form in _NAMES and (form == word or len(form) > 2 or word.upper() == word):
            return _NAMES[form]
    return None


@lru_cache(maxsize=2048)
def unit_of(text: str) -> Unit:
    """The unit that a text names; a counted thing by its singular where it names none."""
    text = " ".join(text.split())
    whole = _name(text)
    if whole:
        return Unit(_dimension({whole[0]: 1}), whole[1])
    powers: dict[str, int] = {}
    factor, sign, pending = Fraction(1), 1, 1
    last: tuple[str, Fraction] | None = None
    for found in _PART.finditer(text):
        kind, word = found.lastgroup, found.group()
        if kind == "slash":
            sign, last = -1, None
        elif kind == "square":
            pending = 2
        elif kind == "cubic":
            pending = 3
        elif found.group("raised"):
            if last:
                extra = (int(found.group(5)) - 1) * sign
                powers[last[0]] = powers.get(last[0], 0) + extra
                factor *= last[1] ** extra
        elif kind == "word" and word.lower() not in _IGNORED:
            if word.lower() in _COMPOUND:
                (one, p), (two, q), scale = _COMPOUND[word.lower()]
                powers[one] = powers.get(one, 0) + p
                powers[two] = powers.get(two, 0) + q
                factor *= scale
                continue
            last = _name(word) or (_singular(word), Fraction(1))
            powers[last[0]] = powers.get(last[0], 0) + pending * sign
            factor *= last[1] ** (pending * sign)
            pending = 1
    return Unit(_dimension(powers), factor)


def _dimension(powers: dict[str, int]) -> str:
    """``L2`` and ``L3`` are powers of a length."""
    flat: dict[str, int] = {}
    for name, power in powers.items():
        base, times = ("L", int(name[1])) if name in ("L2", "L3") else (name, 1)
        flat[base] = flat.get(base, 0) + power * times
    return "".join(f"{name}{power}" for name, power in sorted(flat.items()) if power)


def _singular(word: str) -> str:
    word = word.casefold()
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word.removesuffix("s") if len(word) > 3 else word
