-- Forgets a hold that has ended.
DELETE FROM open_holds WHERE id = $1
