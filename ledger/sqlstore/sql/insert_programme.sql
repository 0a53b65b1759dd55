-- Opens a programme unless the ID is taken.
INSERT INTO programmes (id, name, class, unit_price_yen, unit_value_yen, max_units, issue_units, spend_first, settlement, opens_on, closes_on)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (id) DO NOTHING
