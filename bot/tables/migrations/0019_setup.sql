-- When a server was welcomed, if there was a channel for it, and when a manager was told of /setup.
ALTER TABLE servers ADD COLUMN welcomed_at REAL;
ALTER TABLE servers ADD COLUMN introduced_at REAL;
