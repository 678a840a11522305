"""Who may ask: API clients, users, roles."""
