"""Real coding agents, wrapped with `mis run -p agent`, each against a scripted model server on loopback."""
