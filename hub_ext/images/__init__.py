"""Kernel images: building them, and the catalogue read from their labels (DESIGN 7)."""
