-- Adds a member of staff, or replaces one of the same login.
INSERT INTO staff (login, password_hash, role, shop) VALUES ($1, $2, $3, $4)
ON CONFLICT (login) DO UPDATE SET
	password_hash = EXCLUDED.password_hash, role = EXCLUDED.role, shop = EXCLUDED.shop
