"""The words that matter to the arithmetic: units, operators in words, and words that make a claim unsafe to judge."""

from __future__ import annotations

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTIONS: Final = _words("""
    sin cos tan cot sec csc log ln lim gcd lcm max min mod modulo sqrt exp det am pm base choose
""")
"""Names whose value is not that of the numbers beside them."""

UNITS: Final = {
    word: name
    for name, words in {
        "second": "s sec secs second seconds",
        "minute": "min mins minute minutes",
        "hour": "h hr hrs hour hours",
        "day": "day days",
        "week": "week weeks wk",
        "month": "month months",
        "year": "year years yr yrs decade decades century centuries",
        "cent": "cent cents penny pennies nickel nickels dime dimes quarter quarters",
        "dollar": "dollar dollars usd buck bucks bill bills",
        "millimetre": "mm millimeter millimeters",
        "centimetre": "cm centimeter centimeters",
        "metre": "m meter meters metre metres",
        "kilometre": "km kilometer kilometers kilometre kilometres",
        "inch": "inch inches",
        "foot": "ft foot feet",
        "yard": "yard yards yd",
        "mile": "mile miles mi",
        "gram": "g gram grams mg",
        "kilogram": "kg kilogram kilograms",
        "ounce": "oz ounce ounces",
        "pound": "lb lbs pound pounds",
        "ton": "ton tons",
        "millilitre": "ml milliliter milliliters",
        "litre": "l liter liters litre litres",
        "cup": "cup cups tablespoon tablespoons teaspoon teaspoons tbsp tsp",
        "pint": "pint pints",
        "quart": "quart quarts",
        "gallon": "gallon gallons",
        "dozen": "dozen dozens",
        "pair": "pair pairs couple couples",
        "percent": "percent percentage",
    }.items()
    for word in words.split()
}
"""Units that have a bigger or smaller sister, by every way of writing them."""

SHORT_WORDS: Final = frozenset(UNITS) | _words("""
    is of to in on at by he we so if or an as be do go it me my no up us per pts pt mph
""")
"""Words of two letters, or written right behind a number, that are not a product of unknowns."""

MULTIPLES: Final = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
"""Words that multiply the number before them."""

EQUALITY: Final = frozenset({"is", "are", "equals", "equal", "makes", "gives"})
DETERMINERS: Final = frozenset({"the", "these", "those", "her", "his", "their", "its", "my", "our", "your"})
APPROXIMATE: Final = frozenset({"about", "approximately", "around", "roughly", "nearly", "almost", "approx"})
RESULT_LEADS: Final = APPROXIMATE | frozenset({"a", "total", "of", "only", "just", "exactly"})
"""Words that may stand between an equals sign and the result."""

NUMERIC: Final = _words("""
    half halves twice double doubled triple tripled thrice quadruple third thirds quarter fourth fourths fifth
    fifths sixth seventh eighth ninth tenth times square squared cube cubed root power product sum difference
    quotient ratio average mean median remainder percent minus plus add adding added subtract subtracting subtracted
    multiply multiplying multiplied divide dividing divided one two three four five six seven eight nine ten eleven
    twelve dozen hundred thousand million factorial negative opposite inverse reciprocal
""")
"""Before an expression these may say that it does not begin where the digits begin ("half of 20 + 5")."""

LINKING: Final = _words("by than from to of with and or between")
"""Right before an expression these tie it to what comes earlier ("subtract 3 from 10 - 2")."""

LABELS: Final = _words("""
    day week month year hour minute step number page grade room level round question case option part group class
    team chapter figure problem line row column section stage phase period test quarter
""")
"""The number behind one of these is a name ("day 1 * 2 = 20 pages")."""

CONNECTIVES: Final = _words("""
    because since so then when if is are was were while after that which where hence thus
""")
"""Never part of a unit."""

COMPARING: Final = _words("""
    more less fewer times than greater bigger remainder r percent half raised choose
""")
"""Shortly behind a result these may say that it is not the result ("is 5 more than")."""

SHARING: Final = frozenset({"of", "to", "out"})
"""Right behind a result these may say the same ("1/3 of the money", "a ratio of 3 to 4")."""

DOUBTING: Final = _words("""
    not isn't doesn't don't can't cannot won't didn't aren't never contradiction impossible false incorrect
    incorrectly wrong mistake error suppose assume assuming supposing wait oops correction recheck
""")
"""Words of a step that states an equality without meaning it, or takes it back."""

ROUNDING: Final = _words("round rounded rounding rounds nearest estimate estimated approximate") | APPROXIMATE
OTHER_ARITHMETIC: Final = _words("""
    mod modulo modulus base bases binary octal hexadecimal clock o'clock congruent
""")
"""A text with these may count in another way than ours."""
