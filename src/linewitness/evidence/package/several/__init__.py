"""Packages of several streams: each verified by itself, written and shown together."""
