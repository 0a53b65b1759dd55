-- A page of residents, by ID, without those who were erased.
SELECT id, name, phone, born_on, sex, area, consent_id, test, registered_at, erased_at
FROM residents WHERE id > $1 AND erased_at = 0 ORDER BY id LIMIT $2
