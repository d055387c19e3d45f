"""Exchange: what the messages between organisations that train one model together tell."""
