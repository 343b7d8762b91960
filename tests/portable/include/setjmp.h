/* Nothing: cmocka wants it included, and its stand-in here does not jump. */
