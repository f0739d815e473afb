"""Post-route simulation: what would be flashed, turned back into a netlist and simulated at the pins."""
