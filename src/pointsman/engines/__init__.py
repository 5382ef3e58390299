"""The outside world: endpoints over HTTP and the embedded fleet."""
