"""The attack corpus: what must fail inside a sandbox, and is seen to work outside it."""
