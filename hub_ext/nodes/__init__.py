"""Nodes: what machines there are and what runs on them."""
