DROP TABLE milepost.storage_growth, milepost.refreshed_view, milepost.job_run, milepost.job;
