-- Loses every coupon and every recorded discount. Going back to 1.41.0 does not need this: turn
-- the flag `coupons` off and leave the schema as it is.
BEGIN;

SET LOCAL lock_timeout = '2s';

ALTER TABLE orders
    DROP COLUMN discount_cents,
    DROP COLUMN coupon_code;

DROP TABLE coupons;

COMMIT;
