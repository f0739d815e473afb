"""Engines of the block: each a component with stream ports, usable and testable alone."""
