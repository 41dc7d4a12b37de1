CREATE ROLE sync LOGIN REPLICATION PASSWORD 'pl4nted-s3cret/@:';
GRANT CREATE ON DATABASE postgres TO sync;
GRANT CREATE ON SCHEMA public TO sync;
SET ROLE sync;
CREATE SCHEMA "Odd Schema";
CREATE TYPE mood AS ENUM ('sad', 'very happy');
CREATE TABLE public.orders (
  a int, b text, "order" text, j json, jb jsonb, bin bytea, arr int[], words text[], mood mood,
  twice int GENERATED ALWAYS AS (a * 2) STORED, PRIMARY KEY (a, b));
INSERT INTO public.orders VALUES
  (1, 'x', 'planted-cell-1', '{"k":"\u0000nul", "n": 1.10}', '{"a":1.10}', '\x0001ff', '{1,NULL,3}', ARRAY['a,b', 'q"uote', NULL, E'n\nl'], 'sad'),
  (1, E'y''s "q"\nnew\\line', E'emoji \U0001F600 \t tab', '"\u0000"', 'null', '', '{}', '{}', 'very happy'),
  (2, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.orders SELECT g, 'bulk', md5(g::text) FROM generate_series(100, 20100) g;
CREATE TABLE "Odd Schema"."Mixed Case" (
  "Id" bigint PRIMARY KEY, "select" text, num numeric, price numeric(10,2), ts timestamp, tz timestamptz, d date, t time, f8 float8, u uuid);
INSERT INTO "Odd Schema"."Mixed Case" VALUES
  (1, NULL, 123456789012345678901234567890.123456789, 1.10, 'infinity', '-infinity', 'infinity', '23:59:59.999999', 'NaN', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
  (2, 'bc', 'NaN', -99999999.99, '4713-01-01 00:00:00 BC', '0044-03-15 12:00:00 BC', '0044-03-15 BC', '00:00:00.000001', 5e-324, NULL),
  (3, 'planted-cell-2', 1e100, 'NaN', NULL, NULL, NULL, NULL, NULL, NULL),
  (9223372036854775807, 'most', 0.000, 0, 'epoch', '1970-01-01 00:00:00+14', '0001-01-01', '12:34:56.7', '-Infinity', NULL),
  (-9223372036854775808, 'least', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE public.empty (id int PRIMARY KEY, x text);
CREATE TABLE public.only_keys (a uuid, b date, PRIMARY KEY (a, b));
INSERT INTO public.only_keys SELECT md5(g::text)::uuid, date '2020-01-01' + g FROM generate_series(1, 50) g;
INSERT INTO public.only_keys VALUES (md5('bc')::uuid, '0044-03-15 BC'), (md5('end')::uuid, 'infinity');
CREATE TABLE public.large (id int PRIMARY KEY, t text, n int);
INSERT INTO public.large SELECT 1, string_agg(md5(g::text), ''), 0 FROM generate_series(1, 160000) g;
INSERT INTO public.large VALUES (2, repeat('z', 5000000), 0), (3, 's', 0);
DO $$ BEGIN
  EXECUTE 'CREATE TABLE public.wide (id int PRIMARY KEY,' || (SELECT string_agg('c' || g || ' text', ',') FROM generate_series(1, 300) g) || ')';
  EXECUTE 'INSERT INTO public.wide SELECT i,' || (SELECT string_agg('''v'' || i', ',') FROM generate_series(1, 300) g) || ' FROM generate_series(1, 500) i';
END $$;
ANALYZE public.orders, "Odd Schema"."Mixed Case", public.empty, public.only_keys, public.large, public.wide;
CREATE TABLE public.later (id int PRIMARY KEY, v text);
INSERT INTO public.later VALUES (1, 'one');
