-- Batches that were acknowledged elsewhere (a Redis stream, a spill file) and are moved into the queue.

-- How far each source has been moved. Who moves compares and sets `position` in the transaction that enqueues, so that every batch
-- comes over once, whoever tries and however often.
CREATE TABLE milepost.relay (
    source      text COLLATE "C" PRIMARY KEY,    -- 'spill ID' or 'redis LANE ID'
    position    text COLLATE "C" NOT NULL,       -- of the last batch that was moved, in the source's own terms; '' for none
    moved_at    timestamptz NOT NULL DEFAULT now()
);

-- Which batch of the queue a receipt that was given elsewhere stands for.
CREATE TABLE milepost.relayed (
    receipt_id  bigint PRIMARY KEY,
    batch_id    bigint NOT NULL,
    moved_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX relayed_moved_at ON milepost.relayed (moved_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON milepost.relay, milepost.relayed TO milepost_service;
