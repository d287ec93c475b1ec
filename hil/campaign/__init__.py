"""Campaigns: lives of emulated pumps by the thousand, played from seeds, and what must hold in each of them."""
