"""What the figures are called on the page, and what each means in a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from eval.commands.tables import NAMES as TERMINAL_NAMES

NAMES: Final[Mapping[str, str]] = {
    **TERMINAL_NAMES,
    "mean_offset": "mean offset",
    "detected_acc": "errors noticed",
    "step_ece": "calibration error",
    "known_wrong_acc": "most likely step right",
    "expected_rts_mae": "expected-RTS error",
}
BASELINES: Final[Mapping[str, str]] = {
    "random_flag": "each step wrong at random, best rate",
    "constant_index": "always the same step, the best one",
    "always_correct": "never an error",
}
GENERAL: Final = ("RTS", "unscored", "baseline", "interval")
"""Explained on every page about judges."""
MEANINGS: Final[Mapping[str, str]] = {
    "f1": "Harmonic mean of error accuracy and correct accuracy (ProcessBench). High only when both are.",
    "error_acc": "Of the solutions with an error, the share for which the very first wrong step was named.",
    "correct_acc": "Of the solutions without an error, the share that was found right.",
    "mean_f1": "Unweighted mean over the subsets, as ProcessBench reports it.",
    "mr_score": "0.2 max(0, MCC) + 0.3 first-step accuracy + 0.5 reason accuracy (MR-GSM8K, Mr-Ben).",
    "mr_score_without_reason": "Its first two parts, which need no grader of reasons: 0.5 at most.",
    "mean_mr_score": "Unweighted mean over the subsets.",
    "mean_mr_score_without_reason": "Unweighted mean of the first two parts of MR-Score over the subsets.",
    "step_acc": "Of the wrong solutions, the share for which the very first wrong step was named.",
    "reason_acc": "Of the wrong solutions, the share with the right step and, by a grader, the right reason.",
    "prm_score": "Mean of the F1 of right steps and the F1 of wrong steps, over all steps together (PRMBench).",
    "step_f1": "Over the steps of all rows together: a right step counts when it is not called wrong.",
    "step_negative_f1": "The same for wrong steps; called 'negative F1' in PRMBench.",
    "mistake_acc": "Share of all solutions whose answer, a step or none, is right (BIG-Bench-Mistake).",
    "mean_mistake_acc": "Unweighted mean of the mistake accuracy over the tasks.",
    "within_one_acc": "As error accuracy, but the step before or after the true one counts too.",
    "detected_acc": "Of the solutions with an error, the share for which any step was named.",
    "mean_offset": "Found step minus true step, where both exist. Below 0: the judge is early.",
    "mcc": "Matthews correlation of 'has an error' with what the judge says: 0 for chance, 1 for perfect.",
    "step_auroc": "Probability that a wrong step gets a higher error probability than a right one; 0.5 for chance.",
    "step_ap": "Area under precision and recall of single steps; a judge that knows nothing gets the "
    "share of wrong steps.",
    "step_ece": "Mean distance between the probabilities that the judge states and what then holds (15 bins).",
    "known_wrong_acc": "Told that a solution is wrong: how often its most likely step is the first error.",
    "expected_rts_mae": "Told that a solution is wrong: mean absolute error of the RTS that the probabilities expect.",
}
"""By figure."""
WORDS: Final[Mapping[str, str]] = {
    "F1 fitted on 20": "F1 with the threshold fitted on 20 of these rows and scored on the others, and its deviation.",
    "random flags": "A baseline that calls each step wrong by chance, at the rate that suits these rows best.",
    "RTS": "Share of a solution that stands before its first wrong step: what SGPO pays for.",
    "unscored": "The judge gave no verdict. Counts as wrong in the accuracies, and is never a reward of 0.",
    "baseline": "What a judge gets that reads nothing, on the same rows.",
    "interval": "95% bootstrap interval, small below its figure; problems are drawn again, not rows.",
    "RTS error": "Mean absolute error of the judge's RTS, over the responses that it scores.",
    "rank correlation": "Kendall's tau-b of the judge's RTS with the human's, inside each group.",
    "sign agreement": "Share of the responses that training pushes in the same direction as the human label would.",
    "cosine": "Of the judge's advantages with the human's, mean over the groups.",
    "groups with signal": "Share of all-negative groups in which the judge's rewards differ, so that they teach.",
    "worth": "With this share of its indices moved to a random step, the human label has the judge's cosine.",
    "avg@k": "Mean accuracy of one of k sampled answers.",
    "maj@k": "Accuracy of the most frequent of k answers; ties are broken at random, in expectation.",
    "unscored samples": "The policy did not answer, or the answer could not be checked. They are not counted as wrong.",
}
"""By what the page says."""
GLOSSARY: Final[Mapping[str, str]] = {NAMES[figure]: meaning for figure, meaning in MEANINGS.items()} | dict(WORDS)
"""In the order of the page; a page explains what it shows."""
