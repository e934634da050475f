-- Loses every order. For a new, empty database only.
BEGIN;

DROP TABLE orders;

COMMIT;
