"""Families of attacks: what each may ask, play and measure. `registry` lists them; nothing here imports it."""
