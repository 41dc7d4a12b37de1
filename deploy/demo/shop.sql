-- The source of the compose file's profile `demo`.
CREATE TABLE customers (
  id bigint PRIMARY KEY,
  name text NOT NULL,
  email text,
  since timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE orders (
  id bigint PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES customers,
  amount numeric(12, 2) NOT NULL,
  note text,
  placed timestamptz NOT NULL DEFAULT now()
);

INSERT INTO customers (id, name, email)
SELECT n, 'customer ' || n, 'customer' || n || '@example.com' FROM generate_series(1, 10000) n;

INSERT INTO orders (id, customer_id, amount, note)
SELECT n, 1 + n % 10000, (n % 100000) / 100.0, CASE WHEN n % 10 = 0 THEN 'a note on order ' || n END FROM generate_series(1, 200000) n;
