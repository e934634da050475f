-- Loses every order's items. For a new, empty database only.
BEGIN;

DROP TABLE order_items;

COMMIT;
