"""Turns a BERT checkpoint into bundles for phones, and says whether they are still the same model."""
