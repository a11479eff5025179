r"""A canonical form of answers: LaTeX without parts that do not change the value."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from functools import lru_cache

from trim.answers.environments import environments, rows_ended

LONGEST = 1000  # characters of an answer that is worth reading
_SIGNS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-",
    "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": "/", "∕": "/",
    "⁄": "/", "±": r"\pm ", "∓": r"\mp ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "∞": r"\infty ",
    "∪": r"\cup ", "∩": r"\cap ", "∅": r"\emptyset ", "∈": r"\in ", "∠": r"\angle ", "°": r"^\circ ", "º": r"^\circ ",
    "′": "'", "″": "''", "，": ", ", "、": ", ", "；": "; ", "：": ":", "或": ", ", "和": ", ", "与": ", ",
    "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}",
    "€": r"\text{€}", "£": r"\text{£}", "¥": r"\text{¥}", "µ": r"\mu ", "ℏ": r"\hbar ", "…": r"\ldots ", "√": r"\sqrt ",
}  # fmt: skip
_NUMBER_SETS = {"R": "real", "Z": "integer", "N": "natural", "Q": "rational", "C": "complex"}
_OF_MATHS = ("boxed", "fbox", "mathbf", "boldsymbol", "bm", "mathbb", "mathcal", "mathit")
_SMALL = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi "
    "pi rho sigma tau upsilon phi chi psi omega"
)
_LARGE = "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
_GREEK = dict(zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ", f"{_SMALL} {_LARGE}".split(), strict=True))
_SIGNS |= {sign: f"\\{name} " for sign, name in _GREEK.items()}
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n"))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789"))
_STYLES = (
    "text|mathrm|textrm|textbf|mathbf|textit|mathit|texttt|mathsf|textsf|textnormal|mbox|hbox|rm|bf|it|boldsymbol|bm|"
    "operatorname|emph|underline|mathbb|mathcal|boxed|fbox"
)
_STYLED = re.compile(rf"\\(?:{_STYLES})\*?\s*(?=\{{)")
_WORDS = re.compile(rf"\\(?:{_STYLES})\*?\s*\{{[^{{}}]*\}}")
_LEADING_NUMBER = re.compile(
    r"(\s*-?\d[\d.,]*(?:\s*\\(?:times|cdot)\s*10\^\{?-?\d+\}?)?(?=[^\d.,A-Za-z]))?(.*)", re.DOTALL
)
_COLOURED = re.compile(r"\\(?:text)?color\s*\{[^{}]*\}")
_DROPPED = re.compile(
    r"\\(?:displaystyle|textstyle|limits|left|right|[bB]igg?[lrm]?|quad|qquad|nonumber|hline|space|rm|bf|it|centering)"
    r"(?![a-zA-Z])|"
    r"\\hspace\*?\{[^{}]*\}|\\phantom\{[^{}]*\}|\\(?:label|tag)\{[^{}]*\}"
)
_ALIASES = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "leq": "le", "leqslant": "le", "geq": "ge", "geqslant": "ge",
    "neq": "ne", "simeq": "approx", "sim": "approx", "thickapprox": "approx", "varnothing": "emptyset", "ast": "cdot",
    "degree": "circ", "lbrace": "{", "rbrace": "}", "lbrack": "[", "rbrack": "]", "lvert": "|", "rvert": "|",
    "vert": "|", "infin": "infty", "dots": "ldots", "cdots": "ldots", "varepsilon": "epsilon", "varphi": "phi",
    "land": "text{ and }", "lor": "text{ or }", "colon": ":", "euro": "text{€}", "pounds": "text{£}",
}  # fmt: skip
_COMMAND = re.compile(r"\\([a-zA-Z]+)")
_BARE_ARGUMENT = re.compile(
    r"\\frac\s*([0-9a-zA-Z])\s*([0-9a-zA-Z])(?!\d)|\\frac\s*(\{[^{}]*\})\s*([0-9a-zA-Z])|\\frac\s*([0-9])\s*(?=\{)"
)
_ROOT = re.compile(r"\\sqrt\s*(\d+|[a-zA-Z]|\(([^()]*)\))")
_SCRIPT = re.compile(r"([_^])\s*([0-9a-zA-Z])(?![a-zA-Z{])")
_ANSWER_IS = re.compile(
    r"^(?:\\text\{)?\s*(?:so|thus|hence|therefore)?,?\s*(?:the\s+)?(?:final\s+|correct\s+)?"
    r"(?:answer|result|value|solution)s?"
    r"\s*(?:is|are|:|=|equals)\s*:?\s*\}?\s*",
    re.I,
)
_ABOUT = re.compile(
    r"^(?:(?:\\text\{)?\s*(?:approximately|approx\.?|about|roughly|around)\s*\}?\s*(?=[\d\\.-])|"
    r"(?:\\approx(?![a-z])|=)\s*)",
    re.I,
)
_EVERYTHING = re.compile(
    r"(?:[a-z] (?:is|can be) )?(?:(?:the )?set of(?: all)?(?: the)?|all|any|every) "
    rf"({'|'.join(_NUMBER_SETS.values())})s?"
    r"(?: numbers?| values?)?(?: (?:of )?[a-z])?",
    re.I,
)
# Words that are a list: \text{A, D}, \text{red and blue}.
_LISTED = re.compile(r"(?:^|(?<=[,;({]))\s*\\text\{\s*(\(?\w+\)?(?:\s*,\s*\(?\w+\)?)+)\s*\}")
_NOTHING = re.compile(
    r"(?:there (?:is|are) )?(?:no (?:real )?(?:solutions?|roots?|values?|such [a-z]+)|empty set)(?: exists?)?|"
    r"\\\{\s*\\\}",
    re.I,
)
_DIGIT_GROUPS = re.compile(r"(?<![\d.,])(?<!\d )(\d{1,3})((?:(?:,|\{,\}| )\d{3})+)(?! ?\d)")


def _unicode(text: str) -> str:
    """Mathematical signs as LaTeX commands, everything else in its plainest form."""
    text = "".join(
        rf"\frac{{{one[0]}}}{{{one[1]}}}" if len(one := unicodedata.normalize("NFKC", c).split("⁄")) == 2 else c
        for c in text
    )
    text = re.sub(f"[{''.join(_RAISED)}]+", lambda m: "^{" + "".join(_RAISED[c] for c in m[0]) + "}", text)
    text = re.sub(f"[{''.join(_LOWERED)}]+", lambda m: "_{" + "".join(_LOWERED[c] for c in m[0]) + "}", text)
    text = "".join(_SIGNS.get(c, c) for c in text)
    text = unicodedata.normalize("NFKC", text)
    return "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cc") or c in "\n\t")


def braced(text: str, start: int) -> int | None:
    """The place after the brace that closes the one at `start`, ignoring escaped braces. None if it stays open."""
    depth, place = 0, start
    while place < len(text):
        if text[place] == "\\":
            place += 2
            continue
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        place += 1
        if not depth:
            return place
    return None


def _styled(command: str, content: str) -> str:
    r"""The content of a style command: words stay marked as ``\text{}``, mathematics is left bare."""
    if command == "mathbb" and content.strip() in _NUMBER_SETS:
        return rf"\mathbb{{{content.strip()}}}"
    bare = re.sub(r"\\[a-zA-Z]+", "", _WORDS.sub("", content))
    if command in _OF_MATHS or not re.search(r"[A-Za-zÀ-ɏ€£¥]", bare):
        return f" {content} " if command == "text" else content
    value, words = _LEADING_NUMBER.fullmatch(content).groups()  # type: ignore[union-attr]
    words = re.sub(r"\s+", " ", words.replace("~", " ")).replace("{", "").replace("}", "")
    return f"{value or ''}\\text{{{words}}}"


def _unstyled(text: str) -> str:
    text, place = _COLOURED.sub("", text), 0
    while match := _STYLED.search(text, place):
        end = braced(text, match.end())
        place = match.end()
        if end:
            content = text[match.end() + 1 : end - 1]
            shown = _styled(match[0].strip("\\* "), content)
            text = text[: match.start()] + shown + text[end:]
            # Mathematics may hold a style too; words stay as they are.
            place = match.start() + (0 if shown.strip() == content.strip() else len(shown))
    text = re.sub(r"(?<=\S)\s*\\text\{\s*(?:is|equals|is equal to)\s*\}(?=\s*\S)", " = ", text)
    # A list's "and" and "or" are commas.
    text = re.sub(r"(?:,\s*)?\\text\{\s*(?:,\s*)?(?:and|or)\s*\}", ", ", text)
    text = re.sub(r"(?:,\s*)?(?<![A-Za-z\\{])(?:,\s*)?\b(?:and|or)\b(?![A-Za-z])", ", ", text)
    text = _LISTED.sub(lambda m: ", ".join(rf"\text{{{word.strip()}}}" for word in m[1].split(",")), text)
    return re.sub(r"\\text\{\s*([^A-Za-z{}€£¥]*?)\s*\}", r" \1 ", text)


def _spaced(text: str) -> str:
    text = re.sub(r"\s*\\!\s*", "", text)
    return re.sub(r"\s+", " ", re.sub(r"(?<!\\)\\[,;: >]|~", " ", text))


@lru_cache(maxsize=100_000)
def normalise(answer: str) -> str:
    r"""An answer in canonical form, as LaTeX: no style, no sizes of brackets, one sign for one thing, single blanks.

    Units, names and percent signs stay; `trim.answers.parts` reads them.
    """
    text = _unicode(answer).replace("**", " ").replace("__", " ").replace("`", "").replace("...", r"\ldots ")
    text = re.sub(r"\\(?:left|right)\s*\.", "", rows_ended(text))
    text = _COMMAND.sub(lambda m: "\\" + _ALIASES.get(m[1], m[1]), text)
    text = re.sub(r"\\?\$+|\\[()\[\]]", "", text)
    text = _DROPPED.sub(" ", _unstyled(text))
    text = re.sub(r"\\+$", "", environments(_spaced(text)).strip())
    while len(text) > 1 and text[0] == "{" and braced(text, 0) == len(text):
        text = text[1:-1].strip()
    text = _ABOUT.sub("", _ANSWER_IS.sub("", text)).strip().lstrip(",; ").rstrip(",;. ")
    text = re.sub(r"(?<!\\)%", r"\\%", text)
    text = _BARE_ARGUMENT.sub(
        lambda m: rf"\frac{{{m[1]}}}{{{m[2]}}}" if m[1] else rf"\frac{m[3]}{{{m[4]}}}" if m[3] else rf"\frac{{{m[5]}}}",
        text,
    )
    text = _ROOT.sub(lambda m: rf"\sqrt{{{m[2] or m[1]}}}", text)
    text = re.sub(r"\\log\s*_\s*(?:e|\{\s*e\s*\})", r"\\ln", text)
    text = _SCRIPT.sub(r"\1{\2}", re.sub(r"\s*([_^{}])\s*", r"\1", text))
    text = re.sub(r"\^\{?\\circ\}?", r"\\circ ", text)
    text = re.sub(r"\s+", " ", text).strip()
    words = re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text)
    words = re.sub(r"\s+", " ", words).strip()
    if _NOTHING.fullmatch(words):
        return r"\emptyset"
    if everything := _EVERYTHING.fullmatch(words):
        return next(rf"\mathbb{{{sign}}}" for sign, word in _NUMBER_SETS.items() if word == everything[1].lower())
    return text


_DECIMAL = r"(?:\d+\.?\d*|\.\d+)"
_POWER_OF_TEN = r"(?:[eE]([-+]?\d{1,4})|\s*(?:\\times|\\cdot|\*|x)\s*10\^\{?\(?([-+]?\d{1,4})\)?\}?)"
_NUMBER = re.compile(rf"({_DECIMAL}){_POWER_OF_TEN}?")
_ONLY_POWER = re.compile(r"10\^\{?([-+]?\d{1,4})\}?")
_REPEATING = re.compile(r"(\d*)\.(\d*)\\(?:overline|bar|dot)\{(\d+)\}")
_FRACTION = re.compile(rf"(\d+\s*)?\\frac\{{\s*(-?{_DECIMAL})\s*\}}\{{\s*(-?{_DECIMAL})\s*\}}")
_SLASH = re.compile(rf"(?:(\d+) +)?({_DECIMAL})\s*/\s*({_DECIMAL})")


def ungrouped(text: str) -> str:
    """A text whose groups of three digits are joined: 12,000,023 and 12{,}000{,}023 become 12000023."""
    return _DIGIT_GROUPS.sub(lambda m: m[1] + re.sub(r"\D", "", m[2]), text)


def number(answer: str) -> Fraction | None:
    r"""The exact value of a plain number; None if it is none.

    ``4.5e33``, ``4.5 \times 10^{33}``, ``1/3``, ``3\frac{1}{2}``, ``3 1/2``, ``12{,}000`` and ``0.\overline{3}`` are.
    """
    text = ungrouped(normalise(answer)).strip()
    while len(text) > 2 and text[0] == "(" and text[-1] == ")" and "(" not in text[1:-1]:
        text = text[1:-1].strip()
    text = re.sub(r"^\{?([-+]?)\}?\s*", r"\1", text)
    sign = -1 if text.startswith("-") else 1
    value = _value(text.lstrip("+-"))
    return None if value is None or text[:2] in ("--", "++", "+-", "-+") else sign * value


def _value(text: str) -> Fraction | None:
    if match := _NUMBER.fullmatch(text):
        return Fraction(match[1]) * Fraction(10) ** int(match[2] or match[3] or 0)
    if match := _ONLY_POWER.fullmatch(text):
        return Fraction(10) ** int(match[1])
    if match := _REPEATING.fullmatch(text):
        whole, fixed, period = match.groups()
        shift = 10 ** len(fixed)
        return Fraction(int(whole + fixed or "0")) / shift + Fraction(int(period), (10 ** len(period) - 1) * shift)
    match = _FRACTION.fullmatch(text) or _SLASH.fullmatch(text)
    if match and Fraction(match[3]):
        part = Fraction(match[2]) / Fraction(match[3])
        return Fraction(match[1].strip()) + part if match[1] else part
    return None
