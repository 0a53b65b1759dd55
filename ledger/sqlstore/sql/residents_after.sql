-- A page of residents, by ID.
SELECT id, name, phone, born_on, sex, area, consent_id, test, registered_at
FROM residents WHERE id > $1 ORDER BY id LIMIT $2
