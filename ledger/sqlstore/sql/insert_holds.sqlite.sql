-- Keeps that a hold is open.
INSERT INTO open_holds (id, until_at) VALUES ($1, $2)
