-- What was refused under the IDs of a list?
SELECT id, request, code FROM refusals WHERE id IN (SELECT value FROM json_each($1))
