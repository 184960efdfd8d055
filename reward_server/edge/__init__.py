"""Between the socket and the routes: keys, room, receipt, limits, logs, traces."""
