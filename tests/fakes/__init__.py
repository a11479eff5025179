"""Models, servers and hubs that answer as a test wants them to."""
