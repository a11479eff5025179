r"""Units after a value: ``45\text{ minutes}``, ``1.6\,\mu\mathrm{m}``, ``30 mph``, ``9 (apples)``."""

from __future__ import annotations

import re

# A word and its other names. Words in no line are units too if they are marked as text.
_CALLED = """
m metre meter|cm centimetre centimeter|mm millimetre millimeter|km kilometre kilometer|nm nanometre nanometer
in inch inches|ft foot feet|yd yard|mi mile|mph|kph|s sec second|ms millisecond|min minute|h hr hour|day|week|month
year yr|g gram|kg kilogram|mg milligram|lb pound|oz ounce|l L liter litre|ml mL milliliter millilitre|J joule
kJ kilojoule|eV|erg|N newton|dyne|W watt|kW kilowatt|V volt|A amp ampere|C coulomb|F farad|H henry|T tesla|Hz hertz
Pa pascal|atm|K kelvin|mol mole|deg degree circ|rad radian|sr|unit|cent|dollar USD|AU|pc parsec|ly|M molar|percent
AM am|PM pm|increase increased more|decrease decreased less reduction
""".replace("\n", "|")
# Words that change the value, alone or beside a unit.
_FACTORS = re.compile(
    r"^squared|^cubed|\b(?:dozen|hundred|thousand|million|billion|trillion|halve(?=s)|third(?=s)|fourth(?=s)|fifth(?=s)|"
    r"sixth(?=s)|seventh(?=s)|eighth(?=s)|ninth(?=s)|tenth(?=s)|factorial)(?=s?\b)",
    re.IGNORECASE,
)
# Words of one entry exclude each other.
_CONTRARIES = [
    set(line.split())
    for line in (
        "even odd", "prime composite", "rational irrational", "positive negative", "north south east west",
        "left right", "up down", "upward downward", "clockwise counterclockwise", "win loss los lose losse",
        "profit loss los losse", "bc ad", "bce ce", "convex concave", "open closed", "inside outside",
    )
]  # fmt: skip
_NAMES = {word: line.split()[0] for line in _CALLED.split("|") if line.strip() for word in line.split()}
_TEXT = r"\\text\{[^{}]*\}"
_KNOWN = "|".join(sorted((w for w in _NAMES if len(w) > 1 and w not in ("in", "circ")), key=len, reverse=True))
_RAISED = r"(?:\^(?:\{-?\d+\}|-?\d+))?"
_WORD = rf"{_TEXT}{_RAISED}"
_ATOM = (
    rf"(?:(?:\\mu\s*)?{_WORD}|\\circ\s*[CFK]?(?![a-z])|"
    rf"\\frac\{{(?:\s|\\mu|\\cdot|{_WORD})+\}}\{{(?:\s|\\cdot|{_WORD})+\}})"
)
_BARE = (
    rf"(?<![A-Za-z\\])(?:(?:{_KNOWN})s?(?:/(?:{_KNOWN}|[smh])s?)?|(?<=\s)[A-Za-z]{{4,}}(?:\s[a-z]{{2,}})*+)"
    rf"{_RAISED}(?![A-Za-z(])"
)
_UNIT = re.compile(rf"\s*((?:(?:{_ATOM}|{_BARE})(?:\s|\\cdot|\\times|/|\*|\.)*+)++|\(\s*(?:[a-z]{{3,}}\s*+)++\))$")
_PERCENT = re.compile(r"\s*(?:\\%|(?:\\text\{)?\s*(?:per\s?cent(?:age)?|pct\.?)\s*\}?)$")
_OF_FUNCTION = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?:\^\{-?\d+\})?\s*[^()+]*$")
_CURRENCY = re.compile(r"^\\text\{[€£¥]\}\s*")


def split_unit(text: str) -> tuple[str, str, bool]:
    """A value's text, its unit, and True if a percent sign follows it."""
    text = _CURRENCY.sub("", text)
    if percent := _PERCENT.search(text):
        return text[: percent.start()].strip(), "", True
    text = re.sub(r"(?<![A-Za-z])([ap])\.\s?m\.?(?![A-Za-z])", r"\1m", text)
    match = _UNIT.search(text)
    if not match or not (core := text[: match.start()].strip()) or core[-1] in "+-*/=^_{,<>" or _only_words(core):
        return text, "", False
    if _OF_FUNCTION.search(core) and "circ" in match[1]:
        return text, "", False
    percent = _PERCENT.search(core)
    return core[: percent.start()].strip() if percent else core, _plain(match[1]), bool(percent)


def _only_words(core: str) -> bool:
    return bool(re.fullmatch(rf"(?:{_TEXT}|[A-Za-z]{{2,}}+|\s)++", core))


def _plain(unit: str) -> str:
    unit = re.sub(r"\\text\{([^{}]*)\}", r" \1 ", unit)
    unit = re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"\1/\2", unit)
    return re.sub(r"\s+", " ", unit.replace("\\circ", " deg ").replace("\\mu", "μ").strip("() "))


def _canonical(unit: str) -> tuple[list[str], bool]:
    """The words of a unit in short form, and True if all are known."""
    words = re.findall(r"[^\W\d_]+|\^\{?-?\d+\}?|/", re.sub(r"\b(?:per)\b", "/", unit))
    squared = {"square": "^2", "sq": "^2", "cubic": "^3", "squared": "^2", "cubed": "^3"}
    short, known, power = [], True, ""
    for word in words:
        if word in ("square", "sq", "cubic"):
            power = squared[word]
            continue
        singular = word.lower().removesuffix("s") or word
        name = _NAMES.get(word) or _NAMES.get(word.removesuffix("s")) or _NAMES.get(singular)
        if word in ("squared", "cubed"):
            name = squared[word]
        mark = word[0] in "^/"
        known &= mark or name is not None
        short.append(re.sub(r"[{}]", "", word) if mark else name or singular)
        if power and not mark:
            short.append(power)
            power = ""
    return short, known


def alike(one: str, other: str) -> bool:
    """True if two units may mean the same: equal if both are known, else of the same powers, factors and directions.

    No unit (the empty text) may mean any unit, except words that change the value.
    """
    (first, known), (second, known_too) = _canonical(one), _canonical(other)
    if set(_FACTORS.findall(one.strip())) != set(_FACTORS.findall(other.strip())):
        return False
    if not first or not second:
        return True
    if known and known_too:
        return first == second
    words, others = (set(map(str.lower, unit)) for unit in (first, second))
    if any(len((words ^ others) & line) > 1 for line in _CONTRARIES):
        return False
    return [w for w in first if w[0] == "^"] == [w for w in second if w[0] == "^"]
