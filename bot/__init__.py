"""Fantasia: a Discord bot that turns words into music."""

__version__ = "0.1.0"
