"""The entropy coder: integer probability tables, differentiable code lengths, rANS, arrays."""
