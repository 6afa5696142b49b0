-- Invitations that are open are forgotten.

DROP TABLE milepost.invitation;
