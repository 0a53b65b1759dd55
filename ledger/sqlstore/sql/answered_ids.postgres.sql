-- Which IDs of a list were answered before?
SELECT id FROM transfers WHERE id = ANY (CAST($1 AS text[])) AND position = 0
UNION ALL SELECT id FROM refusals WHERE id = ANY (CAST($1 AS text[]))
UNION ALL SELECT id FROM closes WHERE id = ANY (CAST($1 AS text[]))
