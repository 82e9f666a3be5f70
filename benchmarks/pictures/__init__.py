"""Pictures of rows of digits as people take them, and what is fitted to or measured on them."""
