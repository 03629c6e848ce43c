"""Measurements beside real peers, run by hand: see README.md. Tests never time anything."""
