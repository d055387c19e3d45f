"""Named parts of data: records that a filter keeps, and promises that two parts share none."""
