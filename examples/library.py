"""Decide where a prompt would run, and say why: the same code as in the gateway, without sockets."""

from pointsman.assign.explain import explain
from pointsman.build import decider_of, predictor_of, read_config
from pointsman.clock import RealClock
from pointsman.types import EndpointView, Prompt, Request, Weights

config = read_config(None)  # the embedded fleet; or Path("config.yaml")
_, predictor = predictor_of(config, RealClock())
decider = decider_of(config)

request = Request("r1", Prompt("What is 12 * 12?"), max_tokens=24, weights=Weights(accuracy=2, time=1))
table = predictor.predict([request], running=[0, 0, 0])  # arrays of shape (requests, endpoints)
idle = [EndpointView(name, queued=0, running=0, max_concurrent=4, healthy=True) for name in table.endpoints]
(decided,) = decider.decide([request], table, idle, now=0.0)
print(explain(decided.decision).to_text())
