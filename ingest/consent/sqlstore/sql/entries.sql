SELECT number, entered_at, book, kind, ref, source, person, keep_until, body, hash, chain
FROM consent_log WHERE number > $1 ORDER BY number
