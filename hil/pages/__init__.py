"""What HTML pages of ours are made of: text that does nothing, a page that asks for nothing, axes of drawings."""
