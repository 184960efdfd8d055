"""The native wire format: what ``/v1/rewards`` and ``/v1/judge`` read and write.

Every field is bounded. Bounds that an operator may change come from `LimitSettings`, handed over as pydantic's
validation context (`parse_body`), so that a breach is reported with the path of its field like any other fault.
"""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from judge.shaping import MAX_BETA, ApplyTo, LengthUnit
from reward_server.config import LimitSettings, ShapingSettings
from reward_server.edge.nesting import nesting_fault
from reward_server.errors import from_validation, invalid_request

Status = Literal["correct", "wrong", "judged", "unscored"]
MAX_ID_CHARS = 200
MAX_ANSWER_CHARS = 10_000
DEFAULT_LIMITS = LimitSettings()

SizedT = TypeVar("SizedT", bound=Sized)
ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class AtMost:
    """A bound on a length, read from the ``[limits]`` setting of that name; ``x-limit`` in the JSON schema."""

    setting: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {"x-limit": self.setting}

    def check(self, value: SizedT, info: ValidationInfo) -> SizedT:
        """The value, when it is not too long."""
        limits = info.context if isinstance(info.context, LimitSettings) else DEFAULT_LIMITS
        limit: int = getattr(limits, self.setting)
        if len(value) > limit:
            noun = "characters" if isinstance(value, str) else "items"
            raise PydanticCustomError(
                "too_long",
                "{size} {noun}, at most {limit} are accepted ([limits] {setting})",
                {"size": len(value), "noun": noun, "limit": limit, "setting": self.setting},
            )
        return value


def at_most(setting: str) -> AtMost:
    """For an annotation: the bound that the setting names."""
    return AtMost(setting)


Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)]
Text = Annotated[str, at_most("max_text_chars")]
ProblemText = Annotated[str, Field(min_length=1), at_most("max_problem_chars")]
Answer = Annotated[str, Field(max_length=MAX_ANSWER_CHARS)]


class Wire(BaseModel):
    """Base of everything on the wire: strict types, no unknown fields, no NaN or infinity."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class ResponseIn(Wire):
    """One response to be rewarded."""

    id: Id
    """The caller's name for it; no two of a group are alike."""
    text: Text
    outcome: bool | None = None
    """Whether the final answer is right, where the caller knows; null lets the server compare answers."""


class GroupIn(Wire):
    """All responses to one problem."""

    group_id: Id
    problem: ProblemText
    reference_answer: Answer | None = None
    reference_solution: Text | None = None
    complete: bool = True
    """False when the group has further responses elsewhere: then nobody can say here that all are wrong."""
    responses: Annotated[list[ResponseIn], at_most("max_responses")]

    @field_validator("responses")
    @classmethod
    def _ids_differ(cls, responses: list[ResponseIn]) -> list[ResponseIn]:
        seen: set[str] = set()
        for index, response in enumerate(responses):
            if response.id in seen:
                message = "[{index}].id is the id of an earlier response; the ids of a group must differ"
                raise PydanticCustomError("duplicate_id", message, {"index": index})
            seen.add(response.id)
        return responses


class ShapingIn(Wire):
    """What the request wants instead of the server's ``[shaping]``; null or absent keeps the server's value."""

    beta: float | None = Field(None, gt=0, le=MAX_BETA)
    gamma: float | None = Field(None, ge=0, le=1)
    cap: float | None = Field(None, gt=0, lt=1)
    length: LengthUnit | None = None
    apply_to: ApplyTo | None = None

    def over(self, defaults: ShapingSettings) -> ShapingSettings:
        """The server's defaults with what this request set."""
        return defaults.model_copy(update=self.model_dump(exclude_none=True))


class RewardRequest(Wire):
    """Body of ``POST /v1/rewards``."""

    groups: Annotated[list[GroupIn], at_most("max_groups")]
    shaping: ShapingIn = ShapingIn()
    include_steps: bool = False
    """True: every response is segmented, and its ``step_offsets`` are sent back."""


class ErrorOut(Wire):
    """Why there is no reward or verdict: a code for programs, a sentence for people."""

    code: str
    message: str


class ResponseOut(Wire):
    """What the server says of one response."""

    id: str
    reward: float | None
    """Null when unscored: such a response leaves its group's baseline, it is not worth 0."""
    acc: Literal[0, 1] | None
    rts: float | None = None
    """Share that the reward is made of: what is left of `rts_raw` after the defences."""
    rts_raw: float | None = None
    """Plain share of the response before its first error; null where no judge was asked."""
    first_error: int | None = None
    num_steps: int | None = None
    step_offsets: list[tuple[int, int]] | None = None
    flags: list[str] = Field(default_factory=list)
    """What looks like reward hacking (`judge.defences.Flag`), of wrong responses whose steps are paid for."""
    status: Status
    error: ErrorOut | None = None
    cached: bool = False


class GroupOut(Wire):
    """The responses of one group, in the order in which they came."""

    group_id: str
    all_negative: bool
    """Every response's outcome is known, and wrong."""
    responses: list[ResponseOut]


class JudgeOut(Wire):
    """Which judge spoke."""

    id: str


class TimingOut(Wire):
    """Seconds: the longest wait for a free judge place, the longest judge call, and the whole request."""

    queue: float
    judge: float
    total: float


class RewardReply(Wire):
    """Reply of ``POST /v1/rewards``."""

    groups: list[GroupOut]
    judge: JudgeOut
    timing_s: TimingOut


class JudgeItem(Wire):
    """One solution for ``POST /v1/judge``: a response as text, or its steps."""

    id: Id
    problem: ProblemText
    text: Text | None = None
    steps: Annotated[list[Text], at_most("max_steps")] | None = None
    reference_answer: Answer | None = None
    reference_solution: Text | None = None
    known_wrong: bool = False
    """True when the final answer is known to be wrong."""

    @model_validator(mode="after")
    def _one_of_text_and_steps(self) -> Self:
        if (self.text is None) == (self.steps is None):
            raise PydanticCustomError("text_or_steps", "give exactly one of 'text' and 'steps'")
        return self


class JudgeRequest(Wire):
    """Body of ``POST /v1/judge``."""

    items: Annotated[list[JudgeItem], at_most("max_responses")]
    include_steps: bool = False
    """True: send ``step_offsets`` of the items that came as text."""


class VerdictOut(Wire):
    """What the judge says of one item; ``status`` is ``judged`` or ``unscored``."""

    id: str
    status: Literal["judged", "unscored"]
    first_error: int | None = None
    """0-based; null with status ``judged`` means that the judge found no error."""
    num_steps: int | None
    step_offsets: list[tuple[int, int]] | None = None
    step_error_probs: list[float] | None = None
    expected_rts: float | None = None
    confidence: float | None = None
    critique: str | None = None
    error: ErrorOut | None = None
    cached: bool = False


class JudgeReply(Wire):
    """Reply of ``POST /v1/judge``, in the order of the items."""

    items: list[VerdictOut]
    judge: JudgeOut
    timing_s: TimingOut


def parse_body(model: type[ModelT], body: bytes, limits: LimitSettings) -> ModelT:
    """Parse and check a request body.

    Raises:
        reward_server.errors.ApiError: 422 that names the field, whatever the bytes are.
    """
    fault = nesting_fault(body)
    if fault is not None:
        raise invalid_request("body", fault)
    # Of a key that stands twice in an object the last value counts.
    try:
        return model.model_validate_json(body, context=limits)
    except ValidationError as error:
        raise from_validation(error) from None
