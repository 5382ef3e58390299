"""The OpenAI-compatible gateway: sockets around the scheduler."""
