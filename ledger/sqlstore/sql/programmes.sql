-- All programmes, by ID.
SELECT id, name, class, unit_price_yen, unit_value_yen, max_units, opens_on, closes_on
FROM programmes ORDER BY id
