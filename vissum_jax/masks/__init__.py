"""Masks: presets, objective, optimiser, measures."""
