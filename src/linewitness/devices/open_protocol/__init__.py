"""Tightening controllers over Open Protocol: every result once, or a gap that names what is missing."""
