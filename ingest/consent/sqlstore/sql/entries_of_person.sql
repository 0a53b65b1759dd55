SELECT number, entered_at, book, kind, ref, source, person, keep_until, body, hash, chain
FROM consent_log WHERE source = $1 AND person = $2 AND number > $3 ORDER BY number
