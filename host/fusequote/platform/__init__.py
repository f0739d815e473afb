"""What runs on the platform beside the chip: the programs that play the enclaves, and what they exchange."""
