UPDATE consent_log SET ref = '', source = '', person = '', body = NULL
WHERE book = $1 AND keep_until > 0 AND keep_until <= $2 AND body IS NOT NULL
RETURNING number
