"""The question of records: are those of a batch made again from what crossed?"""
