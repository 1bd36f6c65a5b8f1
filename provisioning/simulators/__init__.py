"""Simulated devices, part of the product: to try things with, and for tests over real sockets."""
