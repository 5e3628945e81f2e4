"""Channels: over how many customers come to us, and whether that shifts."""
