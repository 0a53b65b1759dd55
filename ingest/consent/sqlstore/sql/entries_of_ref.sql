SELECT number, entered_at, book, kind, ref, source, person, keep_until, body, hash, chain
FROM consent_log WHERE ref = $1 AND number > $2 ORDER BY number
