-- name: secret
-- What signs cursors and receipts: of the deployment, so that every process opens what another has signed.
SELECT secret FROM milepost.deployment
