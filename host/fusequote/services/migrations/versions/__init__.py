"""One module for each version, named by its number of four digits; each follows the one before it."""
