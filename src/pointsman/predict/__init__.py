"""What a request will cost and give, before it runs."""
