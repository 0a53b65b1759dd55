-- Registers a resident unless the ID is taken.
INSERT INTO residents (id, name, phone, born_on, sex, area, consent_id, test, registered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (id) DO NOTHING
