"""Reward-hacking attempts: pure transformations of real wrong responses, one small function each."""
