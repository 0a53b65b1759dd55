-- Let a client see a shop's own tables.
INSERT INTO recipient_shops (client, shop) VALUES ($1, $2)
ON CONFLICT (client, shop) DO NOTHING
