"""Checks of a deployment and its machine: each finds one thing out and names the way out."""
