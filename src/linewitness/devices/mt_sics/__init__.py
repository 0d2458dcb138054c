"""Scales that speak MT-SICS: a stable weight, asked for, with the scale's own text and unit."""
