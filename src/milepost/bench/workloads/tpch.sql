-- What TPC-H asks, in the same shapes, and what an application asks of the same tables.
-- name: pricing
-- calls: 2
SELECT l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice), avg(l_discount), count(*)
FROM lineitem WHERE l_shipdate <= date '1992-09-01' GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus;
-- name: cheapest_supplier
-- calls: 5
SELECT s_acctbal, s_name, n_name, p_partkey FROM part, supplier, partsupp, nation, region
WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND p_size = 15 AND p_type = 'TYPE 101' AND s_nationkey = n_nationkey
  AND n_regionkey = r_regionkey AND r_name = 'EUROPE' AND ps_supplycost = (
    SELECT min(ps_supplycost) FROM partsupp, supplier, nation, region WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey
      AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey AND r_name = 'EUROPE')
ORDER BY s_acctbal DESC, n_name, s_name LIMIT 100;
-- name: unshipped
-- calls: 5
SELECT l_orderkey, sum(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate FROM customer, orders, lineitem
WHERE c_mktsegment = 'MACHINERY' AND c_custkey = o_custkey AND l_orderkey = o_orderkey AND o_orderdate BETWEEN '1995-03-10' AND '1995-03-15'
  AND l_shipdate > date '1995-03-15' GROUP BY l_orderkey, o_orderdate ORDER BY revenue DESC, o_orderdate LIMIT 10;
-- name: late_priorities
-- calls: 5
SELECT o_orderpriority, count(*) FROM orders WHERE o_orderdate >= date '1993-07-01' AND o_orderdate < date '1993-08-01'
  AND EXISTS (SELECT 1 FROM lineitem WHERE l_orderkey = o_orderkey AND l_commitdate < l_receiptdate)
GROUP BY o_orderpriority ORDER BY o_orderpriority;
-- name: local_suppliers
-- calls: 3
SELECT n_name, sum(l_extendedprice * (1 - l_discount)) AS revenue FROM customer, orders, lineitem, supplier, nation, region
WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND l_suppkey = s_suppkey AND c_nationkey = s_nationkey
  AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey AND r_name = 'ASIA' AND o_orderdate >= date '1993-01-01'
  AND o_orderdate < date '1993-02-01' GROUP BY n_name ORDER BY revenue DESC;
-- name: forecast
-- calls: 5
SELECT sum(l_extendedprice * l_discount) FROM lineitem WHERE l_shipdate >= date '1993-01-01' AND l_shipdate < date '1993-02-01'
  AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24;
-- name: returned
-- calls: 3
SELECT c_custkey, c_name, sum(l_extendedprice * (1 - l_discount)) AS revenue FROM customer, orders, lineitem
WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND o_orderdate >= date '1993-10-01' AND o_orderdate < date '1993-10-15'
  AND l_returnflag = 'R' GROUP BY c_custkey, c_name ORDER BY revenue DESC LIMIT 20;
-- name: important_stock
-- calls: 2
SELECT ps_partkey, sum(ps_supplycost * ps_availqty) AS value FROM partsupp, supplier, nation
WHERE ps_suppkey = s_suppkey AND s_nationkey = n_nationkey AND n_name = 'NATION 24' GROUP BY ps_partkey ORDER BY value DESC LIMIT 10;
-- name: ship_modes
-- calls: 3
SELECT l_shipmode, count(*) FROM orders, lineitem WHERE o_orderkey = l_orderkey AND l_shipmode IN ('MAIL', 'SHIP')
  AND l_commitdate < l_receiptdate AND l_shipdate < l_commitdate AND l_receiptdate >= date '1992-03-01'
  AND l_receiptdate < date '1992-05-01' GROUP BY l_shipmode ORDER BY l_shipmode;
-- name: promotion
-- calls: 5
SELECT sum(CASE WHEN p_type LIKE 'TYPE 1%' THEN l_extendedprice ELSE 0 END) / sum(l_extendedprice) FROM lineitem, part
WHERE l_partkey = p_partkey AND l_shipdate >= date '1993-09-01' AND l_shipdate < date '1993-09-08';
-- name: small_quantity
-- calls: 10
SELECT sum(l_extendedprice) / 7.0 FROM lineitem, part WHERE p_partkey = l_partkey AND p_brand = 'Brand#55' AND p_container = 'BOX 17'
  AND l_quantity < (SELECT 0.2 * avg(l_quantity) FROM lineitem WHERE l_partkey = p_partkey);
-- name: discounted
-- calls: 5
SELECT sum(l_extendedprice * (1 - l_discount)) FROM lineitem, part WHERE p_partkey = l_partkey AND l_shipmode IN ('AIR', 'REG AIR')
  AND (p_brand = 'Brand#54' AND l_quantity BETWEEN 1 AND 11 OR p_brand = 'Brand#56' AND l_quantity BETWEEN 10 AND 20) AND p_size < 10;
-- name: idle_customers
-- calls: 2
SELECT substring(c_phone FROM 1 FOR 2) AS code, count(*), sum(c_acctbal) FROM customer WHERE substring(c_phone FROM 1 FOR 2) IN ('13', '31')
  AND c_acctbal > 5000 AND NOT EXISTS (SELECT 1 FROM orders WHERE o_custkey = c_custkey) GROUP BY code ORDER BY code;
-- name: orders_of_customer
-- calls: 4000
SELECT o_orderkey, o_totalprice, o_orderdate FROM orders WHERE o_custkey = 4711 ORDER BY o_orderdate DESC LIMIT 10;
-- name: lines_of_part
-- calls: 500
SELECT count(*), sum(l_quantity) FROM lineitem WHERE l_partkey = 17001;
-- name: open_orders
-- calls: 200
SELECT o_orderkey, o_orderdate FROM orders WHERE o_orderstatus = 'P' AND o_orderdate >= date '1998-06-01' ORDER BY o_orderdate LIMIT 50;
-- name: supplier_lines
-- calls: 50
SELECT l_orderkey, l_shipdate FROM lineitem WHERE l_suppkey = 901 AND l_returnflag = 'R' ORDER BY l_shipdate DESC LIMIT 20;
-- name: customer_by_phone
-- calls: 2000
SELECT c_custkey, c_name FROM customer WHERE c_phone = '21-4435467';
-- name: mark_shipped
-- calls: 1000
UPDATE lineitem SET l_shipdate = date '1998-12-01' WHERE l_orderkey = 4242 AND l_linenumber = 1;
-- name: new_line
-- calls: 3000
INSERT INTO lineitem SELECT 2000000, 1, 5, 6, 7, 8, 0.01, 'N', 'O', '1998-12-01', '1998-12-01', '1998-12-01', 'MAIL', 'x';
