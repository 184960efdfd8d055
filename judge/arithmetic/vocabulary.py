"""The words that matter to the arithmetic: units, operators in words, and words that make a claim unsafe to judge."""

from __future__ import annotations

from typing import Final

FUNCTIONS: Final = frozenset(
    "sin cos tan cot sec csc log ln lim gcd lcm max min mod modulo sqrt exp det am pm base choose".split()
)
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

SHORT_WORDS: Final = frozenset(UNITS) | frozenset(
    "is of to in on at by he we so if or an as be do go it me my no up us per pts pt mph st nd rd th".split()
)
"""Words of two letters, or written right behind a number, that are not a product of unknowns."""

MULTIPLES: Final = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
"""Words that multiply the number before them."""

EQUALITY: Final = frozenset({"is", "are", "equals", "equal", "makes", "gives"})
DETERMINERS: Final = frozenset({"the", "these", "those", "her", "his", "their", "its", "my", "our", "your"})
APPROXIMATE: Final = frozenset({"about", "approximately", "around", "roughly", "nearly", "almost", "approx"})
RESULT_LEADS: Final = APPROXIMATE | frozenset({"a", "total", "of", "only", "just", "exactly"})
"""Words that may stand between an equals sign and the result."""

NUMERIC: Final = frozenset(
    """half halves twice double doubled triple tripled thrice quadruple third thirds quarter fourth fourths fifth fifths
    sixth seventh eighth ninth tenth times square squared cube cubed root power product sum difference quotient ratio
    average mean median remainder percent minus plus add adding added subtract subtracting subtracted multiply
    multiplying multiplied divide dividing divided by than from to of with and or one two three four five six seven eight
    nine ten eleven twelve dozen hundred thousand million factorial negative opposite inverse reciprocal""".split()
)
"""Before an expression these may say that it does not begin where the digits begin ("half of 20 + 5")."""

COMPARING: Final = frozenset("more less fewer times than greater bigger remainder remaining r percent half".split())
"""After a result these may say that it is not the result ("is 5 more than")."""

DOUBTING: Final = frozenset(
    """not isn't doesn't don't can't cannot won't didn't aren't never contradiction impossible false incorrect incorrectly
    wrong mistake error suppose assume assuming supposing would should wait oops actually instead correction recheck
    however""".split()
)
"""Words of a step that states an equality without meaning it, or takes it back."""

ROUNDING: Final = frozenset("round rounded rounding rounds nearest estimate estimated approximate".split()) | APPROXIMATE
OTHER_ARITHMETIC: Final = frozenset("mod modulo modulus base bases binary octal hexadecimal clock o'clock congruent".split())
"""A text with these may count in another way than ours."""
