"""What every sampler does: tokenised prompts to responses, with the policy's present weights."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from transformers import PreTrainedModel

from sgpo_client.types import Rollout


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to sample; ``temperature`` 0 means greedy."""

    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    batch_size: int = 64
    """Sequences decoded at once."""
    logprobs: bool = False
    """Give each token's log-probability under the distribution that it was drawn from, temperature and top_p
    included."""


class Sampler(Protocol):
    """Samples responses; used as ``with sampler:`` by one thread at a time."""

    def stream(
        self, prompts: Sequence[list[int]], params: SamplingParams, seed: int
    ) -> Generator[tuple[int, Rollout], None, None]:
        """Position of a prompt and its response, in the order in which responses are finished.

        The same seed, weights and prompts give the same responses (with a vLLM server up to rounding, since what it
        computes together depends on when requests arrive).

        Args:
            prompts: [N][P] token ids; repeat a prompt for several responses to it.
            params: for all of them.
            seed: of the random numbers.

        Raises:
            SamplerError: when another program samples and stays away.
        """
        ...

    def load_weights(self, policy: PreTrainedModel) -> None:
        """Sample from the policy's present weights from now on.

        Every rank must call it, with no `stream` of any rank under way: sharded weights are gathered.
        """
        ...

    def close(self) -> None:
        """Give back what the sampler holds."""
        return

    def sample(self, prompts: Sequence[list[int]], params: SamplingParams, seed: int) -> list[Rollout]:
        """All responses, in the order of the prompts; see `stream`."""
        rollouts = dict(self.stream(prompts, params, seed))
        return [rollouts[index] for index in range(len(prompts))]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
