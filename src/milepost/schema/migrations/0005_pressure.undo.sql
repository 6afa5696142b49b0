-- Without them nobody is limited, and lanes go to whoever is first.

DROP TABLE milepost.tenant_use, milepost.tenant_bucket, milepost.tenant_limit, milepost.loader;
