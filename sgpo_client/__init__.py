"""The reward client (no torch needed) and the SGPO trainer."""
