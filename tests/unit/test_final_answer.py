"""Where the final answer of a response stands, and the comparison that needs no math-verify."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from math_verify import parse, verify

from judge.final_answer import final_answer, quick_match, reference_answer


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("", None),
        ("I do not know.", None),
        (r"\boxed{17} or rather \boxed{18}", "18"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\boxed{18}}", "18"),
        (r"It is \boxed{18}. The answer is 17. #### 16", "18"),
        (r"So \boxed{18 and no end", None),
        (r"\boxed{}", None),
        ("Steps: 3 + 4\n#### 1,800", "1,800"),
        ("#### Step 2: compute\nSo it is 5.\n#### $18.00", "$18.00"),
        ("#### 18 dollars.", "18"),
        ("#### Step 2: add 3 and 4.", "4"),
        ("The answer is 18. Let me check: 5 + 3 = 8.", "18"),
        ("**Final Answer:** **18**", "18"),
        ("The final answer to the question is: $18$.", "18"),
        ("Answer:\n18", "18"),
        ("The answer is that she has 18 eggs left for 3 friends.", "18"),
        ("The answer is 5 + 13 = 18 apples.", "18"),
        ("The answer is $x = \\frac{1}{2}$ of the 3 pies.", "x = \\frac{1}{2}"),
        ("The answer is (1, 2).", "(1, 2)"),
        ("The answer is Evelyn.", "Evelyn"),
        ("The answer is 18 or 19.", None),
        ("The answer is either 18 apples or perhaps 19.", None),
        ("The answer is 18, 19, 20.", None),
        ("She makes 9 * 2 = $<<9*2=18>>18 every day.\nA: 18", "18"),
        ("So she pays $18/hour.", "$18"),
        ("It was 17.\nNow it is **18**.", "18"),
        ("We get \\(x = 3\\) eggs.", "x = 3"),
        ("It costs $17 and then $18 more.", "$18"),
        ("It drops to −5 degrees", "-5"),
        (r"The answer is \boxed{18", None),
        ("5 " * 10_000 + "18", "18"),
        ("18" + " so" * 4000, None),
    ],
)
def test_where_the_final_answer_is(response, expected):
    assert final_answer(response) == expected


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("18", "18"),
        ("$18$", "18"),
        ("2 + 3 = <<2+3=5>>5\n#### 1,800", "1,800"),
        (r"so \boxed{x+1}.", "x+1"),
        (r"\text{Evelyn}", r"\text{Evelyn}"),
        (" \n", None),
        ("---", None),
    ],
)
def test_the_answer_in_a_reference(reference, expected):
    assert reference_answer(reference) == expected


numbers = st.builds(
    lambda sign, currency, number, comma, zeros: sign + currency + (f"{number:,}" if comma else str(number)) + zeros,
    st.sampled_from(["", "-", "+"]),
    st.sampled_from(["", "$", r"\$"]),
    st.integers(0, 2000) | st.integers(0, 10**9),
    st.booleans(),
    st.sampled_from(["", ".0", ".00", ".5", ".25"]),
)


@settings(max_examples=60)
@given(numbers, numbers)
def test_the_short_cut_never_says_right_where_math_verify_says_wrong(answer, reference):
    for other in (reference, answer.replace("$", "").replace("\\", ""), answer.replace(",", "")):
        if quick_match(answer, other):
            assert verify(parse(rf"\boxed{{{other}}}"), parse(rf"\boxed{{{answer}}}"))


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("1,800.00", "1800", True),
        ("18", "19", False),
        ("x+1", "x+1", True),
        ("18.5", "18.50", True),
        ("18.5", "18.6", None),
        ("50%", "50", None),
        ("1/2", "0.5", None),
        ("1,80", "180", None),
        ("--5", "5", None),
        ("-$5", "-5", True),
    ],
)
def test_the_short_cut_leaves_the_rest_to_math_verify(answer, reference, expected):
    assert quick_match(answer, reference) is expected
