-- Without it everybody is shown.

DROP TABLE milepost.board_member;
