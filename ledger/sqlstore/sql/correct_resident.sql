-- Corrects what is known of a resident (訂正).
UPDATE residents SET born_on = $1, sex = $2, area = $3
WHERE id = $4 AND erased_at = 0
