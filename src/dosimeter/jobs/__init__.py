"""Jobs: pieces of work that each end in one stored entry; the store; and the runners that do them."""
