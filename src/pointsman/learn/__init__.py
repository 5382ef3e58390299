"""What served requests teach the predictors."""
