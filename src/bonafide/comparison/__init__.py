"""Two pictures side by side: is one a copy of the other, and what was changed?"""
