-- What is followed is forgotten with it.

DROP TABLE milepost.follow;
