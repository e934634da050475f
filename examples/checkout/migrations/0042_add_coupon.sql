-- Only adds. Release 1.41.0 names its columns in every statement, so it neither sees nor breaks
-- what is new. total_cents stays what the customer is charged, discount included.
BEGIN;

-- Better to fail and try again than to queue every checkout behind us.
SET LOCAL lock_timeout = '2s';

CREATE TABLE coupons (
    code         text        PRIMARY KEY CHECK (code = upper(code)),
    percent_off  smallint    NOT NULL CHECK (percent_off BETWEEN 1 AND 100),
    valid_from   timestamptz NOT NULL DEFAULT now(),
    valid_until  timestamptz CHECK (valid_until > valid_from),
    created_at   timestamptz NOT NULL DEFAULT now()
);

-- No foreign key from coupon_code: checking it would scan orders under a lock.
ALTER TABLE orders
    ADD COLUMN coupon_code    text,
    ADD COLUMN discount_cents bigint NOT NULL DEFAULT 0;

COMMIT;
