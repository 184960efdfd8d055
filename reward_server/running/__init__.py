"""The server as processes: one, several workers, replicas under Ray."""
