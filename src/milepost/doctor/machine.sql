-- name: files
-- What Linux says of the machine, read where the server runs. The last argument: NULL where there is no such file.
SELECT pg_read_file(%(meminfo)s, 0, 65536, true) AS meminfo,
       pg_read_file(%(cpuinfo)s, 0, 1048576, true) AS cpuinfo,
       pg_read_file(%(cgroup)s, 0, 64, true) AS cgroup;
