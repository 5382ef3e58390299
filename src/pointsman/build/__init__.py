"""Words to objects: the one place where a name in a configuration becomes a class.

Plugins come in through entry points: `pointsman.admit`, `pointsman.assign` and `pointsman.order`
name factories that take the configuration's section for their stage and give a policy.
"""

from pointsman.build.batch import body_reader_of, build_batch
from pointsman.build.feedback import graders_of
from pointsman.build.gateway import build_gateway, edge_of
from pointsman.build.outside import engines_of, fleet_of, meters_of
from pointsman.build.policies import decider_of
from pointsman.build.predictions import held_out_of, predictor_of
from pointsman.build.source import endpoints_of, read_config
from pointsman.build.system import System, build_system

__all__ = [
    "System",
    "body_reader_of",
    "build_batch",
    "build_gateway",
    "build_system",
    "decider_of",
    "edge_of",
    "endpoints_of",
    "engines_of",
    "fleet_of",
    "graders_of",
    "held_out_of",
    "meters_of",
    "predictor_of",
    "read_config",
]
