"""Attributes: what the business knows of a customer beside their events, as known at the instant."""
