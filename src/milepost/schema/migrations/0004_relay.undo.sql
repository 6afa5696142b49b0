-- What is not moved yet stays where it was acknowledged; receipts given there say no more than that.

DROP TABLE milepost.relayed, milepost.relay;
