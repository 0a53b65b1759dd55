-- One member of staff.
SELECT login, password_hash, role, shop FROM staff WHERE login = $1
