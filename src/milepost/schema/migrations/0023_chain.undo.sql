DROP TABLE milepost.chain_block, milepost.chain_link;
DROP FUNCTION milepost.chain_window;
