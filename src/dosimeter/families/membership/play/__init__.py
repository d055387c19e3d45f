"""The part of an attack in an audit: the games that it plays, as jobs."""
