"""What the trainers' dialects have in common: a response as each of them describes it, and the label with it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from reward_server.config import LimitSettings
from reward_server.dialects.settings import MAX_GROUP_SIZE
from reward_server.errors import ApiError, from_validation, invalid_request
from reward_server.schemas import MAX_ANSWER_CHARS, MAX_ID_CHARS, Text

DIALECT_PREFIXES: Final = ("/v1/openrlhf", "/v1/slime", "/nemo_gym")
"""Paths, and everything below them, whose clients cannot send headers: there a key may come as ``?key=``."""
OVERHEAD_BYTES: Final = 2_000
"""What a waiting response weighs beside its texts."""


class TrainerBody(BaseModel):
    """Base of what trainers send. Fields that we do not know are theirs, and pass."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


def plain_text(value: object) -> object:
    """Data sets write answers and ids as numbers, too."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:.15g}" if isinstance(value, float) else str(value)
    return value


PLAIN: Final = BeforeValidator(plain_text)


class Label(TrainerBody):
    """A label that is an object: the one channel for everything that is not the reference answer."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False, populate_by_name=True)

    answer: Annotated[str, PLAIN] | None = Field(
        None, max_length=MAX_ANSWER_CHARS, validation_alias=AliasChoices("answer", "reference_answer", "ground_truth")
    )
    question: Text | None = Field(None, validation_alias=AliasChoices("question", "problem"))
    solution: Text | None = Field(None, validation_alias=AliasChoices("solution", "reference_solution"))
    outcome: bool | None = None
    group_id: Annotated[str, PLAIN] | None = Field(
        None, min_length=1, max_length=MAX_ID_CHARS, validation_alias=AliasChoices("group_id", "id")
    )
    group_size: int | None = Field(None, ge=1, le=MAX_GROUP_SIZE)
    member_id: Annotated[str, PLAIN] | None = Field(
        None, min_length=1, max_length=MAX_ID_CHARS, validation_alias=AliasChoices("member_id", "response_id")
    )


@dataclass(frozen=True, slots=True)
class Sample:
    """One response, in whatever dialect it came."""

    problem: str
    response: str
    path: str
    """What the trainer calls the place of its label, for error messages: ``labels[0]``."""
    label: Label
    dialect: str
    reply_by: float
    """On the event loop's clock."""
    tenant: str = ""
    outcome: bool | None = None
    """Whether the final answer is right; None where that is not known."""

    @property
    def text(self) -> str:
        """What tells this response from its siblings."""
        return self.response

    @property
    def num_bytes(self) -> int:
        """What it weighs while it waits."""
        texts = (self.problem, self.response, self.label.question or "", self.label.solution or "")
        return OVERHEAD_BYTES + sum(map(len, texts))

    def group_key(self) -> str:
        """Group id, problem and references: what the members of one group must have in common.

        An id that stands for two problems by mistake makes two groups, never one with a wrong problem.
        """
        label = self.label
        parts = (self.dialect, label.group_id, self.problem, label.answer, label.solution)
        digest = hashlib.sha256()
        for part in parts:
            raw = b"" if part is None else part.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % (-1 if part is None else len(raw)) + raw)
        return digest.hexdigest()


def read_label(value: Any, path: str, limits: LimitSettings, **more: Any) -> Label:
    """A label that is null, a text, a number or an object.

    Args:
        value: as it came.
        path: what the trainer calls it.
        limits: bounds of its texts.
        more: what the request says elsewhere, by the names of `Label`; the label itself goes first.

    Raises:
        ApiError: 422 that names the field in the trainer's words.
    """
    value = plain_text(value)
    if isinstance(value, Mapping):
        fields = dict(value)
    elif value is None or isinstance(value, str):
        fields = {"answer": value} if value else {}
    else:
        raise invalid_request(path, "must be null, a text, a number or an object")
    try:
        label = Label.model_validate(fields, context=limits)
        missing = {key: item for key, item in more.items() if item is not None and not getattr(label, key)}
        return Label.model_validate(label.model_dump(exclude_none=True) | missing, context=limits)
    except ValidationError as error:
        raise at_path(error, path) from None


def at_path(error: ValidationError, path: str) -> ApiError:
    """The faults of a part of a body, named as the trainer would name them."""
    refusal = from_validation(error)
    parts = [f"{path}.{part}" if not part.startswith("and ") else part for part in refusal.message.split("; ")]
    return ApiError(refusal.status, refusal.code, "; ".join(parts))


def check_has_answer(label: Label, path: str, hint: str) -> None:
    """Refuse a response of which nobody can say whether it is right.

    Raises:
        ApiError: 422; ``hint`` says where this trainer takes its labels from.
    """
    if label.answer is None and label.outcome is None:
        raise invalid_request(path, f"holds no reference answer, so that no response can be scored; {hint}")


def check_problem(problem: str, path: str, limits: LimitSettings) -> str:
    """The problem, when it is one that can be judged.

    Raises:
        ApiError: 422 when it is empty or too long.
    """
    if not problem.strip():
        raise invalid_request(path, "holds no problem")
    if len(problem) > limits.max_problem_chars:
        size, most = len(problem), limits.max_problem_chars
        raise invalid_request(
            path, f"a problem of {size} characters, at most {most} are accepted ([limits] max_problem_chars)"
        )
    return problem
