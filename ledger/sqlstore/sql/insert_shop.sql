-- Registers a shop unless the ID is taken.
INSERT INTO shops (id, name, merchant, industry, area, joined_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO NOTHING
