"""Devices: what a node has, real (NVML) or simulated."""
