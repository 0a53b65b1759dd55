-- What was refused under the IDs of a list?
SELECT id, request, code FROM refusals WHERE id = ANY (CAST($1 AS text[]))
