-- One programme.
SELECT id, name, class, unit_price_yen, unit_value_yen, max_units, issue_units, spend_first, settlement, opens_on, closes_on
FROM programmes WHERE id = $1
