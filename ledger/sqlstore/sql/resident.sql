-- One resident.
SELECT id, name, phone, born_on, sex, area, consent_id, test, registered_at, erased_at
FROM residents WHERE id = $1
