"""Step labels without people: error injection, Monte-Carlo rollouts, consensus."""
