-- When will the next hold end that is not among those of due_holds?
SELECT COALESCE(MIN(until_at), 9223372036854775807) FROM open_holds WHERE until_at > $1
