"""Configuration: a YAML file into frozen, typed settings, and back with its credentials masked.

    config = load_config(Path("config.yaml"), os.environ)
    print(render_config(config))

`tree` reads YAML with line numbers; `environment` fills in `os.environ/NAME`; `parse` makes typed values;
`schema` and `energy` hold the settings; `entries`, `providers` and `models` read LiteLLM's `model_list`;
`load` joins them; `show` writes them out. `problem` and `secret` are used by all.
"""

from pointsman.config.admission import AdmissionConfig, DeferConfig
from pointsman.config.costs import CostsConfig
from pointsman.config.energy import METERS, EnergyConfig, MeterConfig
from pointsman.config.feedback import FeedbackConfig, GraderConfig
from pointsman.config.load import load_config
from pointsman.config.order import OrderConfig
from pointsman.config.policy import PolicyConfig
from pointsman.config.predictor import PredictorConfig
from pointsman.config.problem import ConfigProblems, Problem
from pointsman.config.schema import (
    NAMED_PARTS,
    Config,
    EndpointConfig,
    FleetConfig,
    FleetModelConfig,
    LogConfig,
    ServerConfig,
    Settings,
    TimeoutsConfig,
)
from pointsman.config.secret import Secret, mask_text, mask_url
from pointsman.config.show import render_config

__all__ = [
    "METERS",
    "NAMED_PARTS",
    "AdmissionConfig",
    "Config",
    "ConfigProblems",
    "CostsConfig",
    "DeferConfig",
    "EndpointConfig",
    "EnergyConfig",
    "FeedbackConfig",
    "FleetConfig",
    "FleetModelConfig",
    "GraderConfig",
    "LogConfig",
    "MeterConfig",
    "OrderConfig",
    "PolicyConfig",
    "PredictorConfig",
    "Problem",
    "Secret",
    "ServerConfig",
    "Settings",
    "TimeoutsConfig",
    "load_config",
    "mask_text",
    "mask_url",
    "render_config",
]
