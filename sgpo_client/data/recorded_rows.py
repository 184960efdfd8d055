"""Lines of a file of recorded responses: one response each, or one problem with all its responses."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from sgpo_client.data.rows import Row
from sgpo_client.errors import DataError
from sgpo_client.wire import Status


class _Line(BaseModel):
    """Fields that both forms have. Others are left alone; types are not converted."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    problem: str = Field(min_length=1)
    answer: str | int | float | None = Field(default=None, validation_alias=AliasChoices("answer", "reference_answer"))
    solution: str | None = Field(default=None, validation_alias=AliasChoices("solution", "reference_solution"))

    @property
    def answer_text(self) -> str:
        """The reference answer; empty when there is none."""
        return "" if self.answer is None else str(self.answer).strip()


class RecordedResponse(_Line):
    """One response. ``sgpo-judge run`` reads such lines as well, and `rollouts.jsonl` has them."""

    id: str | int | None = None
    text: str = Field(validation_alias=AliasChoices("response", "text"))
    truncated: bool = False
    correct: bool | Literal[0, 1] | None = Field(
        default=None, validation_alias=AliasChoices("final_answer_correct", "acc", "correct")
    )
    reward: float | None = None
    status: Status | None = None
    rts: float | None = Field(default=None, ge=0, le=1)
    first_error: int | None = Field(default=None, ge=0)
    num_steps: int | None = Field(default=None, ge=0)
    step_offsets: list[Annotated[list[int], Field(min_length=2, max_length=2)]] | None = None
    error: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.correct and self.rts is not None and self.rts < 1:
            raise ValueError("'rts' below 1, but the final answer is said to be correct")
        num_offsets = None if self.step_offsets is None else len(self.step_offsets)
        if num_offsets is not None and self.first_error is not None and self.first_error >= num_offsets:
            raise ValueError(
                f"'first_error' is {self.first_error}, but there are {num_offsets} 'step_offsets' (it counts from 0)"
            )
        return self


class RecordedProblem(_Line):
    """A problem with all its responses."""

    responses: list[str] = Field(min_length=1)
    rewards: list[float | None] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.rewards is not None and len(self.rewards) != len(self.responses):
            raise ValueError(f"{len(self.rewards)} 'rewards' for {len(self.responses)} 'responses'")
        return self

    def split(self) -> list[RecordedResponse]:
        """The same, one response each."""
        shared = {"problem": self.problem, "answer": self.answer, "solution": self.solution}
        if self.rewards is None:
            return [RecordedResponse.model_validate({**shared, "text": text}) for text in self.responses]
        return [
            RecordedResponse.model_validate({**shared, "text": text, "reward": reward})
            for text, reward in zip(self.responses, self.rewards, strict=True)
        ]


def parse_row(row: Row) -> list[RecordedResponse]:
    """The responses of a line.

    Raises:
        DataError: naming file, line and field.
    """
    kind = RecordedProblem if "responses" in row.fields else RecordedResponse
    try:
        line = kind.model_validate(dict(row.fields))
    except ValidationError as error:
        raise DataError(f"{row.where}: {_faults(error)}") from None
    if not line.answer_text:
        raise DataError(f"{row.where}: 'answer' (or 'reference_answer') is missing or empty")
    return line.split() if isinstance(line, RecordedProblem) else [line]


def _faults(error: ValidationError) -> str:
    """All wrong fields in one line, without the values, which may be long."""
    said = []
    for item in error.errors(include_url=False, include_input=False):
        message = item["msg"].removeprefix("Value error, ")
        field = ".".join(map(str, item["loc"]))
        hint = " (or 'responses', a list)" if field == "response" and item["type"] == "missing" else ""
        said.append(f"'{field}'{hint}: {message}" if field else message)
    return "; ".join(said)


def verdict_fields(row: Row) -> dict[str, Any]:
    """What a line of `sgpo-judge run` says of the response with its ``id``. Its ``rts`` is the share that may be paid.

    Raises:
        DataError: when it is not such a line.
    """
    fields = row.fields
    if "id" not in fields or fields.get("status") not in ("judged", "unscored") or "paid_rts" not in fields:
        raise DataError(f"{row.where}: 'id', 'status' or 'paid_rts' is missing: not a line of sgpo-judge run")
    if fields["status"] == "unscored":
        return {"status": "unscored", "error": str((fields.get("error") or {}).get("message", ""))}
    return {"rts": fields["paid_rts"]} | {name: fields.get(name) for name in ("status", "first_error", "num_steps")}
