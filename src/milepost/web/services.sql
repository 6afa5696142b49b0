-- name: secret
-- What signs cursors, receipts and viewer tokens: of the deployment, so that every process opens what another has signed.
SELECT secret FROM milepost.deployment
