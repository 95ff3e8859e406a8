"""How a plan is made: folders and headers are looked at, nothing is written."""
