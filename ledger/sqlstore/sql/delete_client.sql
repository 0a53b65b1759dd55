-- Takes a client program's access away.
DELETE FROM clients WHERE id = $1
