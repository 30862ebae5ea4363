"""Entropy coder: integer probability tables, their differentiable twins, rANS and coded integers."""
