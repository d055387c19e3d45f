"""Classifiers of small pictures of any width and depth: VGG, residual networks, vision transformers."""
