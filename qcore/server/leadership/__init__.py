"""What only a leader does, and how another node comes to lead instead."""
