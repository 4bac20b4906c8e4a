"""The lossy run: six platforms' doubles lose, double and reorder what they tell, and no order may be missing."""
