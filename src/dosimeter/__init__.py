"""Dosimeter: who could learn what about whose data from a transferred model, how sure we are, what stopping it costs."""
