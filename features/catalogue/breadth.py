"""Breadth: how many kinds of things a customer buys, how evenly, and whether new ones come in."""
