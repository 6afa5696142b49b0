-- Eight tables in the manner of TPC-H, a tenth of its smallest size, and skewed: a few customers and parts have most orders, dates
-- cluster towards the end, and what is shipped follows what was ordered.
SELECT setseed(0.25);
CREATE TABLE region (r_regionkey int PRIMARY KEY, r_name text NOT NULL);
CREATE TABLE nation (n_nationkey int PRIMARY KEY, n_name text NOT NULL, n_regionkey int NOT NULL);
CREATE TABLE supplier (s_suppkey int PRIMARY KEY, s_name text NOT NULL, s_nationkey int NOT NULL, s_acctbal numeric(12, 2) NOT NULL,
    s_comment text NOT NULL);
CREATE TABLE customer (c_custkey int PRIMARY KEY, c_name text NOT NULL, c_nationkey int NOT NULL, c_mktsegment text NOT NULL,
    c_acctbal numeric(12, 2) NOT NULL, c_phone text NOT NULL, c_comment text NOT NULL);
CREATE TABLE part (p_partkey int PRIMARY KEY, p_name text NOT NULL, p_brand text NOT NULL, p_type text NOT NULL, p_size int NOT NULL,
    p_container text NOT NULL, p_retailprice numeric(12, 2) NOT NULL);
CREATE TABLE partsupp (ps_partkey int, ps_suppkey int, ps_availqty int NOT NULL, ps_supplycost numeric(12, 2) NOT NULL,
    PRIMARY KEY (ps_partkey, ps_suppkey));
CREATE TABLE orders (o_orderkey int PRIMARY KEY, o_custkey int NOT NULL, o_orderstatus char(1) NOT NULL, o_totalprice numeric(12, 2)
    NOT NULL, o_orderdate date NOT NULL, o_orderpriority text NOT NULL, o_comment text NOT NULL);
CREATE TABLE lineitem (l_orderkey int, l_linenumber int, l_partkey int NOT NULL, l_suppkey int NOT NULL, l_quantity int NOT NULL,
    l_extendedprice numeric(12, 2) NOT NULL, l_discount numeric(4, 2) NOT NULL, l_returnflag char(1) NOT NULL, l_linestatus char(1)
    NOT NULL, l_shipdate date NOT NULL, l_commitdate date NOT NULL, l_receiptdate date NOT NULL, l_shipmode text NOT NULL,
    l_comment text NOT NULL, PRIMARY KEY (l_orderkey, l_linenumber));
INSERT INTO region SELECT n, (ARRAY['AFRICA', 'AMERICA', 'ASIA', 'EUROPE', 'MIDDLE EAST'])[n + 1] FROM generate_series(0, 4) n;
INSERT INTO nation SELECT n, 'NATION ' || n, n % 5 FROM generate_series(0, 24) n;
INSERT INTO supplier SELECT n, 'Supplier ' || n, (25 * power(random(), 2))::int % 25, random() * 10000 - 1000, md5(n::text)
FROM generate_series(1, 1000) n;
INSERT INTO customer
SELECT n, 'Customer ' || n, (25 * power(random(), 2))::int % 25,
       (ARRAY['AUTOMOBILE', 'BUILDING', 'FURNITURE', 'HOUSEHOLD', 'MACHINERY'])[1 + (5 * power(random(), 1.5))::int % 5],
       random() * 10000 - 1000, 10 + n % 25 || '-' || (random() * 1e7)::int, md5(n::text) || md5((n + 1)::text)
FROM generate_series(1, 15000) n;
INSERT INTO part
SELECT n, 'part ' || md5(n::text), 'Brand#' || 11 + (45 * power(random(), 2))::int, 'TYPE ' || (150 * power(random(), 1.5))::int,
       1 + (random() * 49)::int, 'BOX ' || n % 40, 900 + n % 1000
FROM generate_series(1, 20000) n;
INSERT INTO partsupp SELECT p, 1 + (p * 7 + s * 251) % 1000, random() * 9999, random() * 1000
FROM generate_series(1, 20000) p, generate_series(0, 3) s ON CONFLICT DO NOTHING;
INSERT INTO orders
SELECT n, 1 + (14999 * power(random(), 3))::int, (ARRAY['F', 'F', 'F', 'F', 'O', 'O', 'O', 'P'])[1 + (random() * 7)::int],
       random() * 300000, date '1992-01-01' + (2400 * sqrt(random()))::int,
       (ARRAY['1-URGENT', '2-HIGH', '3-MEDIUM', '4-NOT SPECIFIED', '5-LOW'])[1 + (random() * 4)::int], md5(n::text)
FROM generate_series(1, 100000) n;
INSERT INTO lineitem
SELECT o.o_orderkey, l, 1 + (19999 * power(random(), 3))::int, 1 + (999 * power(random(), 2))::int, 1 + (random() * 49)::int,
       random() * 90000, (random() * 10)::int / 100.0, CASE WHEN o.o_orderdate < '1995-06-01' THEN (ARRAY['A', 'R'])[1 + (random())::int]
       ELSE 'N' END, CASE WHEN o.o_orderdate < '1995-06-01' THEN 'F' ELSE 'O' END, o.o_orderdate + 1 + (random() * 120)::int,
       o.o_orderdate + 30 + (random() * 60)::int, o.o_orderdate + 2 + (random() * 150)::int,
       (ARRAY['REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB'])[1 + (random() * 6)::int], md5((o.o_orderkey * 8 + l)::text)
FROM orders o, generate_series(1, 4) l;
