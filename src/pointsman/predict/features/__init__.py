"""Features of a prompt, without a network and without a GPU."""
