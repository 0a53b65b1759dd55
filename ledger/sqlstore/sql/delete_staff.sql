-- Takes a login away.
DELETE FROM staff WHERE login = $1
