"""The OpenAI-compatible gateway."""

from pointsman.gateway.app import MAX_BODY_BYTES, Gateway
from pointsman.gateway.metrics import GatewayMetrics
from pointsman.gateway.parse import Edge

__all__ = ["MAX_BODY_BYTES", "Edge", "Gateway", "GatewayMetrics"]
