"""Dosimeter: who could learn what about whose data from a transferred model, how sure, and what stopping it costs."""
