"""Fails while it is imported, and prints where data belongs."""

print("acme_broken says hello")
raise RuntimeError("the licence server of Acme does not answer")
