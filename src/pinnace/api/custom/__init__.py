"""Custom kinds: definitions checked and put in force, and their objects pruned, defaulted, judged and stored."""
