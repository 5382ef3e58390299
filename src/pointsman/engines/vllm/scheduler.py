"""vLLM's scheduler with our order of its queue. Written for the versions in `version.py`; needs vLLM to be imported.

Before each step requests that wait are put in the order of their ranks, and so are those that run: vLLM lets in from
the front while there are slots, tokens and memory, and preempts from the end where memory is short. Where the order
preempts, who loses its slot is put back before that, by vLLM's own means.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from vllm.tokenizers import cached_tokenizer_from_config
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.request_queue import SchedulingPolicy

from pointsman.engines.priority import PREDICTED_TOKENS
from pointsman.engines.vllm.lengths import PromptLengths
from pointsman.engines.vllm.line import Line, Seen
from pointsman.engines.vllm.options import options_of, predicted_of, waited_of
from pointsman.errors import ConfigError

if TYPE_CHECKING:
    from vllm.v1.core.sched.output import SchedulerOutput
    from vllm.v1.request import Request

_log: Final = logging.getLogger(__name__)


class Scheduler(AsyncScheduler):  # type: ignore[misc] # vLLM is not there where types are checked
    """See the module. Raises: ConfigError for options that can't be used."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.policy is not SchedulingPolicy.FCFS:
            raise ConfigError(
                f"--scheduling-policy is {self.policy.value!r} beside --scheduler-cls",
                remedy="Leave it out: the scheduler class orders the queue",
            )
        options = options_of(self.vllm_config.additional_config or {})
        self._line: Line[Request] = Line(
            options.order,
            self.max_num_running_reqs,
            self.max_num_scheduled_tokens,
            options.most_preemptions,
            _see,
        )
        self._lengths = None
        if options.lengths is not None:
            tokenizer = cached_tokenizer_from_config(self.vllm_config.model_config)
            decode = partial(tokenizer.decode, skip_special_tokens=True)
            self._lengths = PromptLengths(options.lengths, options.lengths_endpoint, decode)
        _log.warning("requests run in the order %s: %s", options.order.name, options.order.bound)

    def add_request(self, request: Request) -> None:
        """A request comes, with a prediction or without."""
        asked, prompt = request.sampling_params, request.prompt_token_ids
        if self._lengths is not None and asked is not None and prompt:
            known = asked.extra_args or {}
            if PREDICTED_TOKENS not in known:
                tokens = self._lengths.tokens(prompt, request.max_tokens)
                asked.extra_args = {**known, PREDICTED_TOKENS: tokens}
        super().add_request(request)

    def schedule(self, *args: Any, **kwargs: Any) -> SchedulerOutput:
        """One step of vLLM, with its queues in our order."""
        if self.waiting:
            places = self._line.place(self.running, self.waiting)
            self.running[:] = places.running
            self.waiting.clear()
            self.waiting.extend(places.waiting)
            for request in places.preempt:
                self._preempt_request(request, time.monotonic(), drop_stale_output=self.requires_kv_delivery)
                self.waiting.append(self.waiting.popleft())  # it put itself in front
        return super().schedule(*args, **kwargs)


def _see(request: Request) -> Seen:
    asked = request.sampling_params
    arguments = asked.extra_args if asked is not None else None
    left = request.num_tokens + request.num_output_placeholders - request.num_computed_tokens
    return Seen(
        arrived_s=request.arrival_time - waited_of(arguments),
        predicted_tokens=predicted_of(arguments, request.max_tokens),
        served_tokens=request.num_output_tokens,
        prefill_tokens=left if left > 1 else 0,
        preemptions=request.num_preemptions,
    )
