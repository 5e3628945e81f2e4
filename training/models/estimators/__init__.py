"""Estimators of a business's own: read, fitted on our rows, and served as parts of a score."""
