"""Requests and answers on one connection, over TCP, TLS or a serial bus."""
