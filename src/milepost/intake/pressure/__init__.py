"""Pressure: what keeps one tenant's flood from the others, and all of them from the server's memory.

- `allowance`: what one tenant may still send in this process: a token bucket and two quotas.
- `allowances`: all tenants' allowances, kept together with other processes' through PostgreSQL.
- `waiting`: what lies in the queue, by tenant, and when that is too much.
- `turns`: work that is done by tenants in turn.
- `shares`: how many requests a tenant that floods has under way, while others send as well.

A refusal (`Refused`) is of a whole request: nothing of it was taken, and it can be sent again as it is.
"""
